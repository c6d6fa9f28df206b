"""Where a reader stands in a log that is asked for by ranges of time."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trebuchet.status import LogPosition

CLOCK_SKEW = timedelta(seconds=60)
"""How far the control plane's clock may be ahead of ours without an entry being missed."""

KEPT_BY_SERVICE = timedelta(days=34)
"""As far back as may be asked for, less a day for clocks that differ."""

_LATE = 2 * CLOCK_SKEW
"""How long after its time an entry may still appear (its clock may be behind): no window starts later."""

_FIRST_WIDTH = timedelta(milliseconds=20)
_LEAST_WIDTH = timedelta(microseconds=100)
_FACTOR = 4
_FEW_BYTES = 1 << 20


class Cursor:
    """The last entry given: entries have no id, so it is a timestamp and the count of entries at it.

    Args:
        after: Where an earlier reader stopped; None for the beginning.
    """

    def __init__(self, after: LogPosition | None = None) -> None:
        self.last = None if after is None else after.timestamp
        self.given = 0 if after is None else after.count
        self._met = 0

    def begin(self) -> None:
        """Start over with an answer that may repeat what earlier ones brought."""
        self._met = 0

    def accepts(self, timestamp: datetime) -> bool:
        """Whether the next entry of the answer is new; if so it counts as given."""
        if self.last is not None and timestamp < self.last:
            return False
        if timestamp == self.last:
            self._met += 1
            if self._met <= self.given:
                return False
            self.given = self._met
            return True
        self.last = timestamp
        self.given = self._met = 1
        return True


class Window:
    """The range of time to ask for next. It grows while little comes and shrinks when much does.

    The SDK loads a range as a whole before it gives it out: the width bounds the memory. A round goes from
    the place before which nothing is missing up to the present, window by window.
    """

    def __init__(self, start: datetime, width: timedelta = _FIRST_WIDTH) -> None:
        self.start = start
        self.width = width
        self._next_round = start

    def begin(self) -> None:
        """Start a round, also over what may have appeared late."""
        self.start = self._next_round

    def until(self, now: datetime) -> datetime:
        return min(self.start + self.width, now + CLOCK_SKEW)

    def passed(self, now: datetime, last: datetime | None, size: int) -> None:
        """The whole window was read and held `size` bytes; `last` is the newest entry known."""
        self.start = self.until(now)
        self._next_round = max(self._next_round, min(self.start, now - _LATE), last or self._next_round)
        if size < _FEW_BYTES:
            self.width = min(self.width * _FACTOR, KEPT_BY_SERVICE)

    def cut(self, last: datetime | None) -> None:
        """Only the part up to `last` was read, because more came than should be held at once."""
        if last is not None:
            self.start = max(self.start, last)
        self.shrink()

    def shrink(self) -> bool:
        """Make it narrower; False where it is as narrow as it can be."""
        if self.width <= _LEAST_WIDTH:
            return False
        self.width = max(self.width / _FACTOR, _LEAST_WIDTH)
        return True
