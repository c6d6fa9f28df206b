"""What bubblewrap says of a command that it cannot execute, in the words that a command of `exec` gets."""

from __future__ import annotations

import os

_CUT = b"bwrap: execvp "


class Complaint:
    """Looks through the first output of a sandbox for bubblewrap's complaint about its command.

    Attributes:
        heard: Whether there was one.
    """

    def __init__(self, program: str) -> None:
        self.heard = False
        self._expected = _CUT + os.fsencode(program) + b": "
        self._held = b""
        self._listening = True

    def sift(self, data: bytes) -> bytes:
        """The output to keep now. It may come in pieces: what may still become the complaint is held back."""
        if not self._listening:
            return data
        self._held += data
        if self._expected.startswith(self._held) and self._held != self._expected:
            return b""
        self.heard = self._held.startswith(self._expected)
        return self.rest()

    def rest(self) -> bytes:
        """What was held back, at the end."""
        self._listening = False
        held, self._held = self._held, b""
        return held[len(_CUT) :] if self.heard else held
