"""What the engine says to those who start and stop it."""

from __future__ import annotations


class EmulatorError(Exception):
    """The engine cannot be started, found or stopped.

    Attributes:
        message: One or two sentences for people.
        hint: What to do about it.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
