"""A list of faults that knows when it is long enough."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trebuchet.errors import JobFileError, Problem

if TYPE_CHECKING:
    from trebuchet.files.tree import Entry

_MOST = 50


class Problems:
    """Collects the faults of one file, so that they can be told all at once.

    Args:
        file: The file's name as the user gave it.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self.found: list[Problem] = []

    def at(self, entry: Entry, message: str, hint: str | None = None) -> None:
        """Add a fault at the place of an entry."""
        self.add(message, hint, entry.line, entry.column)

    def add(
        self, message: str, hint: str | None = None, line: int | None = None, column: int | None = None
    ) -> None:
        """Add a fault; one without a line belongs to the file as a whole.

        Raises:
            JobFileError: There are so many by now that more would not help.
        """
        self.found.append(Problem(message, hint, self.file, line, column))
        if len(self.found) >= _MOST:
            raise self.error()

    def settle(self) -> None:
        """Go on only where nothing was found.

        Raises:
            JobFileError: With all that was found, in the file's order.
        """
        if self.found:
            raise self.error()

    def error(self) -> JobFileError:
        return JobFileError(sorted(self.found, key=lambda problem: (problem.line or 0, problem.column or 0)))
