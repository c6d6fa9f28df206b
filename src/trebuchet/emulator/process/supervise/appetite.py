"""How much a sandbox takes, where no cgroup holds it back: looked at every so often, by its supervisor."""

from __future__ import annotations

import os
import time

_PAGE = os.sysconf("SC_PAGE_SIZE")
_CALM_S = 1.0
_ALERT_S = 0.05
_ALERT_FROM = 0.5
"""From this part of its limit on, memory is looked at often: a program takes a gigabyte in half a second."""


class Appetite:
    """The memory and the processes of this process's descendants, held against limits.

    What the kernel does not count as any process's own, files in `/dev/shm` that nobody has mapped say, is
    not counted here either.
    """

    def __init__(self, memory_mib: int | None, processes: int) -> None:
        self._memory = memory_mib * 1024 * 1024 if memory_mib else None
        self._memory_mib = memory_mib
        self._processes = processes
        self._due = time.monotonic() + (_ALERT_S if memory_mib else _CALM_S)

    @property
    def patience(self) -> float:
        """Seconds until it is worth another look."""
        return max(0.0, self._due - time.monotonic())

    def excess(self) -> tuple[str, str] | None:
        """What is over its limit, as a cause and in words; None where nothing is known to be."""
        if time.monotonic() < self._due:
            return None
        self._due = time.monotonic() + _CALM_S
        pids = descendants(os.getpid())
        if len(pids) > self._processes:
            return "too_many_processes", f"The sandbox had more than {self._processes} processes."
        if self._memory is None:
            return None
        taken = sum(map(_resident, pids))
        if taken > self._memory:  # what processes share was counted once for each: look closer
            taken = sum(map(_proportional, pids))
        if taken > self._memory:
            return "out_of_memory", f"The sandbox took more than its {self._memory_mib} MiB of memory."
        if taken > self._memory * _ALERT_FROM:
            self._due = time.monotonic() + _ALERT_S
        return None


def descendants(ancestor: int) -> list[int]:
    """All processes below one, found without a look at the rest of the machine's."""
    found: list[int] = []
    waiting = [ancestor]
    while waiting:
        below = _children(waiting.pop())
        found += below
        waiting += below
    return found


def _children(pid: int) -> list[int]:
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
    return [
        int(child) for thread in threads for child in _read(f"/proc/{pid}/task/{thread}/children").split()
    ]


def _resident(pid: int) -> int:
    words = _read(f"/proc/{pid}/statm").split()
    return int(words[1]) * _PAGE if words else 0


def _proportional(pid: int) -> int:
    for line in _read(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith(b"Pss:"):
            return int(line.split()[1]) * 1024
    return _resident(pid)


def _read(path: str) -> bytes:
    """Empty for a process that has just gone."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
