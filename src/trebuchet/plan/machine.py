"""What the local machine has, as data that is handed in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine that runs the local engine.

    Attributes:
        gpus: How many there are of each name.
        any_gpu: Whether a job that asks for another type gets what there is.
        cpus: Logical CPUs; None where unknown.
        memory_mib: MiB; None where unknown.
        programs: Those of `tools.PROGRAMS` that jobs find on it; None where unknown.
        package_lists: Whether `apt-get install` knows of packages there without an update.
    """

    gpus: Mapping[str, int] = field(default_factory=dict[str, int])
    any_gpu: bool = False
    cpus: float | None = None
    memory_mib: int | None = None
    programs: Collection[str] | None = None
    package_lists: bool = True


@dataclass(frozen=True, slots=True)
class Place:
    """Where a job is to run, and what is there.

    Attributes:
        cloud: `modal` or `local`.
        machine: None on Modal and where it is unknown.
        tag_prefix: What the names of our own tags begin with there.
    """

    cloud: str
    machine: Machine | None
    tag_prefix: str
