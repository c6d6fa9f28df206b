"""Clocks for tests of what takes hours."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass
class HandClock:
    """Stands still until it is moved, by hand or by who sleeps."""

    time: float = 1000.0
    slept: list[float] = field(default_factory=list[float])

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds


@dataclass
class AheadClock:
    """The system's clock, set ahead by hand; a pause is next to none: what was to happen meanwhile has."""

    ahead: float = 0.0
    slept: list[float] = field(default_factory=list[float])

    def now(self) -> float:
        return time.time() + self.ahead

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        time.sleep(min(seconds, 0.02))
