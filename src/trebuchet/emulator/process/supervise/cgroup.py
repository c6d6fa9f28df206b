"""A sandbox's own control group: made before its first process, gone after its last."""

from __future__ import annotations

import contextlib
import os
import time

from trebuchet.emulator.process.supervise import framing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_PROCS = "cgroup.procs"
_EMPTIES_WITHIN_S = 2.0
_PAUSE_S = 0.005


class Cgroup:
    """Holds a sandbox's processes within limits, where the order names a group for it.

    Attributes:
        procs: The file that a process joins by; empty where there is no group.
    """

    def __init__(self, order: dict[str, Any] | None) -> None:
        self.procs = ""
        self._order = order

    def make(self) -> None:
        """Make it, with its limits. Where that fails there is none: limits are then watched."""
        if self._order is None:
            return
        folder: str = self._order["folder"]
        try:
            os.mkdir(folder)
            note(folder)
            for name, value in self._order["limits"].items():
                _write(os.path.join(folder, name), value)
        except OSError:
            remove(folder)
            return
        self.procs = os.path.join(folder, _PROCS)

    @property
    def holds_memory(self) -> bool:
        """Whether the kernel sees to the memory limit."""
        return bool(self.procs) and self._order is not None and "memory.max" in self._order["limits"]

    def ran_out_of_memory(self) -> bool:
        """Whether the kernel has ended processes for taking too much."""
        if not self.holds_memory:
            return False
        events = _read(os.path.join(os.path.dirname(self.procs), "memory.events"))
        return any(line.split()[1] != "0" for line in events.splitlines() if line.startswith("oom_kill "))

    def remove(self) -> None:
        """End what is left in it, and remove it."""
        if self.procs:
            remove(os.path.dirname(self.procs))
            self.procs = ""


def join(procs: str) -> None:
    """Put this process into a group, before it becomes a sandbox's."""
    if procs:
        _write(procs, "0")


def note(folder: str) -> None:
    """Leave word of the group in the sandbox's folder, the working directory, should this process die."""
    framing.write_object(framing.CGROUP, {"folder": folder})


def remove(folder: str) -> None:
    """Kill all in a group and remove it, if it is there; what will not go is left."""
    with contextlib.suppress(OSError):
        _write(os.path.join(folder, "cgroup.kill"), "1")
    until = time.monotonic() + _EMPTIES_WITHIN_S
    while os.path.isdir(folder):
        try:
            os.rmdir(folder)
        except OSError:
            if time.monotonic() > until:
                return
            time.sleep(_PAUSE_S)


def _write(path: str, value: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, value.encode())
    finally:
        os.close(descriptor)


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read()
    except OSError:
        return ""
