"""What this machine has, looked at for a plan."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol, cast

from trebuchet.plan.machine import Machine
from trebuchet.plan.tools import PROGRAMS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class _ThisMachine(Protocol):
    """What the engine that runs jobs here tells of it."""

    def machine(self) -> Mapping[str, int]: ...

    def programs(self, names: Iterable[str]) -> frozenset[str]: ...

    def has_package_lists(self) -> bool: ...


def look_at(engine: object) -> Machine:
    """The machine of the local engine."""
    here = cast("_ThisMachine", engine)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Machine(
        gpus=here.machine(),
        any_gpu=os.environ.get("TREBUCHET_LOCAL_GPU_ANY") == "1",
        cpus=os.cpu_count(),
        memory_mib=memory // 2**20,
        programs=here.programs(PROGRAMS),
        package_lists=here.has_package_lists(),
    )
