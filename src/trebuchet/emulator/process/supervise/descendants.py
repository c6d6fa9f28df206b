"""Killing a tree of processes that no namespace holds together."""

from __future__ import annotations

import contextlib
import os
import signal

_ROUNDS = 100


def kill_descendants(ancestor: int, leader: int) -> None:
    """Kill all descendants of a process, and the process group of `leader`.

    It looks again until it finds none that it has not killed, so that a tree that forks meanwhile is caught
    too. Where there is no `/proc` only the group dies.
    """
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)
    killed: set[int] = set()
    for _ in range(_ROUNDS):
        found = _descendants(ancestor) - killed
        if not found:
            return
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        killed |= found


def _descendants(ancestor: int) -> set[int]:
    children: dict[int, list[int]] = {}
    for pid in all_pids():
        with contextlib.suppress(OSError, IndexError):
            children.setdefault(parent_of(pid), []).append(pid)
    found: set[int] = set()
    waiting = [ancestor]
    while waiting:
        below = children.get(waiting.pop(), [])
        found.update(below)
        waiting.extend(below)
    return found


def all_pids() -> list[int]:
    """All processes that can be seen; none where there is no `/proc`."""
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []


def parent_of(pid: int) -> int:
    """The process that a process comes from.

    Raises:
        OSError: It is gone.
    """
    with open(f"/proc/{pid}/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[1])
