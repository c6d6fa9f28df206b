"""When sandboxes start: at once, or, while many are asked for, after those who ask have their answers.

A start is all work for the processor. A hundred of them between the questions of one who asks for a hundred
would be no sooner done, and would keep each answer waiting.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Start = Callable[[], Coroutine[None, None, None]]
    InBackground = Callable[[Coroutine[None, None, None]], asyncio.Task[None]]

BURST = 4 * (os.cpu_count() or 1)
BURST_S = 0.05
"""So many in so short a time are more than can be started in it."""
CALM_S = 0.02
PATIENCE_S = 0.5
"""In a burst a start waits until nothing more has come for a moment, and no longer than this."""
HEAD_START_S = 0.02
"""The next start begins when this one is under way, or after so long."""


class Starter:
    """Starts what it is given, in turn.

    Args:
        in_background: Runs a start beside everything else, and says so of one that fails.
    """

    def __init__(self, in_background: InBackground) -> None:
        self._in_background = in_background
        self._came: deque[float] = deque(maxlen=BURST)
        self._waiting: deque[tuple[float, Start]] = deque()
        self._serving = False

    def add(self, start: Start) -> None:
        """Let one start as soon as it is its turn; returns at once."""
        now = time.monotonic()
        self._came.append(now)
        self._waiting.append((now, start))
        if not self._serving:
            self._serving = True
            self._in_background(self._serve())

    async def _serve(self) -> None:
        try:
            while self._waiting:
                while (pause := self._pause_s(time.monotonic())) > 0:
                    await asyncio.sleep(pause)
                _, start = self._waiting.popleft()
                await asyncio.wait([self._in_background(start())], timeout=HEAD_START_S)
        finally:
            self._serving = False

    def _pause_s(self, now: float) -> float:
        """Seconds until the next may start, provided that none comes meanwhile."""
        if len(self._came) < BURST or self._came[-1] - self._came[0] > BURST_S:
            return 0.0
        return min(self._came[-1] + CALM_S, self._waiting[0][0] + PATIENCE_S) - now
