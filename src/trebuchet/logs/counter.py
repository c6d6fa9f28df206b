"""Counting entries that have no id, so that one can tell which of them were met before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trebuchet.status import LogPosition

if TYPE_CHECKING:
    from datetime import datetime

    from trebuchet.status import LogEntry


class Counter:
    """Follows a log entry by entry, and knows its position after each.

    Args:
        after: The position of the entries that were counted before; None for the beginning.
    """

    def __init__(self, after: LogPosition | None = None) -> None:
        self._last: datetime | None = None if after is None else after.timestamp
        self._count = 0 if after is None else after.count

    @property
    def position(self) -> LogPosition | None:
        """After the last entry; None before the first."""
        return None if self._last is None else LogPosition(self._last, self._count)

    def count(self, entry: LogEntry) -> LogPosition:
        """Take the next entry; the position after it."""
        if entry.timestamp == self._last:
            self._count += 1
        else:
            self._last, self._count = entry.timestamp, 1
        return LogPosition(entry.timestamp, self._count)


def is_past(position: LogPosition, bound: LogPosition | None) -> bool:
    """Whether a position lies behind another; everything lies behind None."""
    if bound is None:
        return True
    return (position.timestamp, position.count) > (bound.timestamp, bound.count)
