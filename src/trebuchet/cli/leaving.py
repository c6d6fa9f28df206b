"""The ways in which a command ends before its time. Exit codes: 128 and a signal's number, as in shells."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

HUNG_UP = 129
INTERRUPTED = 130
READER_GONE = 141
TERMINATED = 143


class Detached(BaseException):
    """This process is to go at once; what it has launched goes on.

    Not an `Exception`: nothing on the way may take it for a failure of what it was doing. Nor an exit code
    to return: calls that are still under way would print tracebacks in the interpreter's farewell.

    Attributes:
        exit_code: One of those above; 0 where leaving is how it ends.
    """

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


@contextmanager
def for_a_reader() -> Generator[None]:
    """Write to somebody who may leave, as `head` does."""
    try:
        yield
    except BrokenPipeError:
        raise Detached(READER_GONE) from None
