"""Which part of the control groups this user may divide among sandboxes, if any.

Only groups of version 2, and only below one that lends its controllers to its children already, as systemd
does for a user: nothing that others made is changed.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trebuchet.emulator.cores import THREADS_A_CORE
from trebuchet.emulator.process.supervise import cgroup, framing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trebuchet.emulator.process.limits import Limits
    from trebuchet.emulator.process.spec import ProcessSpec

CONTROLLERS = ("memory", "cpu", "pids")
NOT_HELD = (
    "A sandbox's memory is watched rather than limited by the kernel, and processor cores are counted and "
    "not limited: there is no control group (version 2) that you may divide. Where systemd runs, "
    "`systemd-run --user --scope` before the command that starts the engine gives it one."
)
_PERIOD_US = 100_000
_WEIGHT_OF_A_CORE = 100
"""The kernel's own default is for one that asked for nothing."""
_HIGHEST_WEIGHT = 10_000
_PIDS_TO_SPARE = 64
_OURS = "trebuchet"
_MOUNTS = Path("/proc/self/mountinfo")
_MEMBERSHIP = Path("/proc/self/cgroup")


@dataclass(frozen=True, kw_only=True)
class Cgroups:
    """Where sandboxes have control groups of their own.

    Attributes:
        folder: The group that theirs are made in.
        controllers: What can be limited there, of CONTROLLERS.
    """

    folder: Path
    controllers: frozenset[str]


def find_cgroups() -> Cgroups | None:
    """The nearest group above this process that can be divided; None where there is none. Takes some 5 ms."""
    for folder in _above_this_process():
        with suppress(OSError):
            found = _divide(folder)
            if found is not None:
                return found
    return None


def group_order(cgroups: Cgroups, spec: ProcessSpec, limits: Limits) -> dict[str, Any]:
    """What a supervisor is told of the group that it is to make for its sandbox."""
    wanted: dict[str, str] = {}
    if "memory" in cgroups.controllers and spec.memory_mib:
        # All of a sandbox ends when one of its processes is ended for want of memory, and swap is no way out.
        wanted |= {
            "memory.max": str(spec.memory_mib << 20),
            "memory.swap.max": "0",
            "memory.oom.group": "1",
        }
    if "cpu" in cgroups.controllers:
        if spec.cpus:
            wanted["cpu.max"] = f"{round(spec.cpus * THREADS_A_CORE * _PERIOD_US)} {_PERIOD_US}"
        if spec.wants_cpus:
            weight = round(spec.wants_cpus * _WEIGHT_OF_A_CORE)
            wanted["cpu.weight"] = str(min(max(weight, 1), _HIGHEST_WEIGHT))
    if "pids" in cgroups.controllers:
        # A little more than the watcher lets pass, so that it is seen and said.
        wanted["pids.max"] = str(limits.processes + _PIDS_TO_SPARE)
    return {"folder": str(cgroups.folder / spec.id), "limits": wanted}


def remove_group(folder: Path) -> None:
    """Remove the control group that a supervisor, killed from outside, left of the sandbox in this folder."""
    left = framing.read_object(str(folder / framing.CGROUP))
    if left is not None:
        cgroup.remove(left["folder"])


def _above_this_process() -> Iterator[Path]:
    mount, path = _mount_point(), _own_path()
    if mount is None or path is None:
        return
    own = mount / path.lstrip("/")
    for folder in (own, *own.parents):
        if not folder.is_relative_to(mount):
            return
        yield folder


def _mount_point() -> Path | None:
    with suppress(OSError):
        for line in _MOUNTS.read_text().splitlines():
            place, _, kind = line.partition(" - ")
            if kind.startswith("cgroup2 "):
                return Path(place.split()[4])
    return None


def _own_path() -> str | None:
    with suppress(OSError):
        for line in _MEMBERSHIP.read_text().splitlines():
            if line.startswith("0::"):
                return line.removeprefix("0::")
    return None


def _divide(folder: Path) -> Cgroups | None:
    lent = set((folder / "cgroup.subtree_control").read_text().split())
    controllers = [name for name in CONTROLLERS if name in lent]
    if "memory" not in controllers or not os.access(folder, os.W_OK):
        return None
    ours = folder / _OURS
    ours.mkdir(exist_ok=True)
    (ours / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in controllers))
    return Cgroups(folder=ours, controllers=frozenset(controllers)) if _takes_processes(ours) else None


def _takes_processes(folder: Path) -> bool:
    """Whether a process of ours may be moved there: that takes the right to write to what is above both."""
    trial = folder / f"trial-{os.getpid()}"
    trial.mkdir()
    try:
        with subprocess.Popen(["sleep", "60"]) as process:
            try:
                (trial / "cgroup.procs").write_text(str(process.pid))
            except OSError:
                return False
            finally:
                process.kill()
        return True
    finally:
        with suppress(OSError):
            trial.rmdir()
