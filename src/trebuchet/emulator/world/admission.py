"""Who may start: what the machine has, what is taken, and who waits in which order.

Higher priorities go first; within one, first come, first served. One that fits may go before those that wait
for more, and where it delays one of them by that, only so often.
"""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from trebuchet.emulator.world.gpus import GpuAsk, GpuPool
    from trebuchet.emulator.world.sandbox import Ask

MOST_DELAYS = 8
"""How many later ones may take what one waits for; after that it is kept for it as it comes free."""


@dataclass(frozen=True, kw_only=True)
class Room:
    """What sandboxes may take together; infinite where nobody counts."""

    cpus: float = math.inf
    memory_mib: float = math.inf


@dataclass
class _Waiting:
    ask: Ask
    delays: int = 0


class Admission:
    """Lends GPUs, processor cores and memory to sandboxes that ask for them.

    One that asks for nothing never waits. One that asks for more cores or memory than there are gets all.
    """

    def __init__(self, gpus: GpuPool, room: Room) -> None:
        self._gpus = gpus
        self._room = room
        self._taken_cpus: dict[str, float] = {}
        self._taken_memory: dict[str, float] = {}
        self._line: list[_Waiting] = []

    def ask(self, ask: Ask) -> tuple[int, ...] | None:
        """Lend to a newcomer: the indices of its GPUs; None where it has to wait."""
        return self._lend(ask, self._line[: self._place(ask)])

    def wait(self, ask: Ask) -> None:
        """Put one in the line, behind all of its priority."""
        self._line.insert(self._place(ask), _Waiting(ask))

    def retake(self, ask: Ask, gpus: Iterable[int]) -> None:
        """Note what an earlier daemon lent."""
        self._gpus.retake(gpus)
        self._take(ask)

    def leave(self, ask: Ask, gpus: Iterable[int]) -> None:
        """Take back what was lent, or the place in the line."""
        self._give_back(ask, gpus)
        self._line = [waiting for waiting in self._line if waiting.ask.id != ask.id]

    def admit(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Lend to those who waited, in turn: each one's id with the indices of its GPUs."""
        ahead: list[_Waiting] = []
        for waiting in list(self._line):
            taken = self._lend(waiting.ask, ahead)
            if taken is None:
                ahead.append(waiting)
            else:
                self._line.remove(waiting)
                yield waiting.ask.id, taken

    def reasons(self) -> dict[str, str]:
        """What each that waits waits for, in words, by id."""
        return {
            waiting.ask.id: f"{self._lacks(waiting.ask)}, {_ordinal(place)} in the queue"
            for place, waiting in enumerate(self._line, start=1)
        }

    def _place(self, ask: Ask) -> int:
        return bisect.bisect_right(self._line, -ask.priority, key=lambda waiting: -waiting.ask.priority)

    def _lend(self, ask: Ask, ahead: list[_Waiting]) -> tuple[int, ...] | None:
        if self._missing_cpus(ask) > 0 or self._missing_memory(ask) > 0:
            return None
        taken = self._gpus.take(ask.gpu, [waiting.ask.gpu for waiting in ahead])
        if taken is None:
            return None
        self._take(ask)
        delayed = [waiting for waiting in ahead if self._delays(ask, taken, waiting.ask)]
        if any(waiting.delays >= MOST_DELAYS for waiting in delayed):
            self._give_back(ask, taken)
            return None
        for waiting in delayed:
            waiting.delays += 1
        return taken

    def _delays(self, ask: Ask, taken: Iterable[int], other: Ask) -> bool:
        """Whether one, having taken what it asks for, leaves too little of it for another."""
        return bool(
            (self._gpus.suits(taken, other.gpu) and self._gpus.missing(other.gpu))
            or (ask.wants_cpus and self._missing_cpus(other) > 0)
            or (ask.wants_memory_mib and self._missing_memory(other) > 0)
        )

    def _take(self, ask: Ask) -> None:
        if ask.wants_cpus:
            self._taken_cpus[ask.id] = min(ask.wants_cpus, self._room.cpus)
        if ask.wants_memory_mib:
            self._taken_memory[ask.id] = min(ask.wants_memory_mib, self._room.memory_mib)

    def _give_back(self, ask: Ask, gpus: Iterable[int]) -> None:
        self._gpus.give_back(gpus)
        self._taken_cpus.pop(ask.id, None)
        self._taken_memory.pop(ask.id, None)

    def _missing_cpus(self, ask: Ask) -> float:
        return _missing(ask.wants_cpus, self._room.cpus, self._taken_cpus.values())

    def _missing_memory(self, ask: Ask) -> float:
        return _missing(ask.wants_memory_mib, self._room.memory_mib, self._taken_memory.values())

    def _lacks(self, ask: Ask) -> str:
        lacks: list[str] = []
        if missing := self._gpus.missing(ask.gpu):
            lacks.append(f"{missing} of {_gpus(ask.gpu)}")
        if (cpus := self._missing_cpus(ask)) > 0:
            lacks.append(f"{cpus:g} of {ask.wants_cpus:g} CPU cores")
        if (memory := self._missing_memory(ask)) > 0:
            lacks.append(f"{memory:g} of {ask.wants_memory_mib} MiB of memory")
        return " and ".join(lacks) or "its turn"


def _missing(wanted: float, room: float, taken: Iterable[float]) -> float:
    """How much more would have to be free; thousandths, in which the protocol counts cores, do not add up."""
    return round(min(wanted, room) - (room - math.fsum(taken)), 6) if wanted and room < math.inf else 0.0


def _gpus(ask: GpuAsk) -> str:
    return f"{ask.count} GPU{'s' if ask.count > 1 else ''}"


def _ordinal(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th") if number % 100 not in {11, 12, 13} else "th"
    return f"{number}{ending}"
