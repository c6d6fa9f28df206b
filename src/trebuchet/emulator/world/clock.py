"""Times that never repeat: the pages of a list are cut by them."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

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


def booted_at() -> float:
    """When this machine was started, in seconds since the epoch; 0 where that cannot be told."""
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/stat").read_text(encoding="ascii").splitlines():
            if line.startswith("btime "):
                return float(line.split()[1])
    return 0.0
