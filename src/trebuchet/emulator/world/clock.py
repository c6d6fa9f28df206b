"""Times that never repeat: the pages of a list are cut by them."""

from __future__ import annotations

import time

STEP_S = 1e-5
"""Well above what a double can tell apart in this century."""


class Clock:
    """Gives strictly increasing times."""

    def __init__(self) -> None:
        self._last = 0.0

    def saw(self, moment: float) -> None:
        """Take note of a time given by an earlier daemon."""
        self._last = max(self._last, moment)

    def now(self) -> float:
        """Seconds since the epoch, later than every time given or seen before."""
        self._last = max(time.time(), self._last + STEP_S)
        return self._last
