"""Who may start: what the machine has, what is taken, and who waits in which order.

First come, first served, but for gaps: one that fits may overtake those that wait for more, up to a limit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trebuchet.emulator.world.gpus import GpuAsk, GpuPool
    from trebuchet.emulator.world.sandbox import Ask, Sandbox

MOST_OVERTAKEN = 8
"""How many later ones may start before one that waits; after that they wait for it."""


@dataclass(frozen=True, kw_only=True)
class Room:
    """What sandboxes may take together; infinite where nobody counts."""

    cpus: float = math.inf
    memory_mib: float = math.inf


@dataclass
class _Waiting:
    sandbox: Sandbox
    overtaken: int = 0


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
        return self._lend(ask, self._line)

    def wait(self, sandbox: Sandbox) -> None:
        """Put one at the end of the line."""
        self._line.append(_Waiting(sandbox))

    def retake(self, sandbox: Sandbox) -> None:
        """Note what an earlier daemon lent."""
        self._gpus.retake(sandbox.standing.gpus)
        self._take(sandbox.ask)

    def leave(self, ask: Ask, gpus: tuple[int, ...]) -> None:
        """Take back what was lent, or the place in the line."""
        self._gpus.give_back(gpus)
        self._taken_cpus.pop(ask.id, None)
        self._taken_memory.pop(ask.id, None)
        self._line = [waiting for waiting in self._line if waiting.sandbox.id != ask.id]

    def admit(self) -> Iterator[tuple[Sandbox, tuple[int, ...]]]:
        """Lend to those who waited, in turn: each with the indices of its GPUs."""
        for waiting in list(self._line):
            before = self._line[: self._line.index(waiting)]
            taken = self._lend(waiting.sandbox.ask, before)
            if taken is not None:
                self._line.remove(waiting)
                yield waiting.sandbox, taken

    def reasons(self) -> dict[str, str]:
        """What each that waits waits for, in words, by id."""
        return {
            waiting.sandbox.id: f"{self._lacks(waiting.sandbox.ask)}, {_ordinal(place)} in the queue"
            for place, waiting in enumerate(self._line, start=1)
        }

    def _lend(self, ask: Ask, before: list[_Waiting]) -> tuple[int, ...] | None:
        overtaken = [waiting for waiting in before if _compete(waiting.sandbox.ask, ask)]
        if any(waiting.overtaken >= MOST_OVERTAKEN for waiting in overtaken):
            return None
        if self._missing_cpus(ask) > 0 or self._missing_memory(ask) > 0:
            return None
        taken = self._gpus.take(ask.gpu)
        if taken is None:
            return None
        self._take(ask)
        for waiting in overtaken:
            waiting.overtaken += 1
        return taken

    def _take(self, ask: Ask) -> None:
        if ask.wants_cpus:
            self._taken_cpus[ask.id] = min(ask.wants_cpus, self._room.cpus)
        if ask.wants_memory_mib:
            self._taken_memory[ask.id] = min(ask.wants_memory_mib, self._room.memory_mib)

    def _missing_cpus(self, ask: Ask) -> float:
        free = self._room.cpus - sum(self._taken_cpus.values())
        return min(ask.wants_cpus, self._room.cpus) - free if ask.wants_cpus else 0.0

    def _missing_memory(self, ask: Ask) -> float:
        free = self._room.memory_mib - sum(self._taken_memory.values())
        return min(ask.wants_memory_mib, self._room.memory_mib) - free if ask.wants_memory_mib else 0.0

    def _lacks(self, ask: Ask) -> str:
        lacks: list[str] = []
        if missing := self._gpus.missing(ask.gpu):
            lacks.append(f"{missing} of {_gpus(ask.gpu)}")
        if (cpus := self._missing_cpus(ask)) > 0:
            lacks.append(f"{cpus:g} of {ask.wants_cpus:g} CPU cores")
        if (memory := self._missing_memory(ask)) > 0:
            lacks.append(f"{memory:g} of {ask.wants_memory_mib} MiB of memory")
        return " and ".join(lacks) or "its turn"


def _compete(one: Ask, other: Ask) -> bool:
    """Whether two ask for something that they might have to share."""
    return bool(
        (one.gpu.count and other.gpu.count)
        or (one.wants_cpus and other.wants_cpus)
        or (one.wants_memory_mib and other.wants_memory_mib)
    )


def _gpus(ask: GpuAsk) -> str:
    return f"{ask.count} GPU{'s' if ask.count > 1 else ''}"


def _ordinal(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th") if number % 100 not in {11, 12, 13} else "th"
    return f"{number}{ending}"
