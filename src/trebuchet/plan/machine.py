"""What the local machine has, as data that is handed in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine that runs the local engine.

    Attributes:
        gpus: How many there are of each name.
        any_gpu: Whether a job that asks for another type gets what there is.
        cpus: Logical CPUs; None where unknown.
        memory_mib: MiB; None where unknown.
    """

    gpus: Mapping[str, int] = field(default_factory=dict[str, int])
    any_gpu: bool = False
    cpus: float | None = None
    memory_mib: int | None = None
