"""How much the processes of a sandbox take, read where they run: on this machine."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, NamedTuple

from trebuchet.emulator.process.errors import NotRunningError
from trebuchet.emulator.process.state import read_state
from trebuchet.emulator.process.supervise.appetite import descendants

if TYPE_CHECKING:
    from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Consumption(NamedTuple):
    """What a sandbox's processes take.

    Attributes:
        at: When, by the monotonic clock.
        cpu_s: Seconds of processor time so far, of their ended children too.
        memory: Bytes; what processes share is counted once for each.
    """

    at: float
    cpu_s: float
    memory: int


def consumption(state: Path, sandbox_id: str) -> Consumption | None:
    """What a running sandbox takes, commands that were begun in it later left out; None where it has ended.

    Args:
        state: Where the engine keeps its state.
        sandbox_id: Whose.
    """
    try:
        first = read_state(state / "sandboxes" / sandbox_id / "process").init_pid
    except NotRunningError:
        return None
    if first is None:
        return None
    rows = [row for pid in (first, *descendants(first)) if (row := _stat(pid))]
    if not rows:
        return None
    return Consumption(
        time.monotonic(),
        sum(sum(row[10:14]) for row in rows) / _TICKS,
        sum(row[20] for row in rows) * _PAGE,
    )


def _stat(pid: int) -> list[int]:
    """What /proc/PID/stat says after the state, see proc(5); nothing for a process that has just gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - read often
            return [int(word) for word in file.read().rpartition(b")")[2].split()[1:]]
    except OSError:
        return []
