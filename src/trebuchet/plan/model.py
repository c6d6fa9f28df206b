"""The plan: what would be asked of the control plane for a job file, and every note about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trebuchet.job import Dialect
    from trebuchet.sandbox import SandboxSpec, Upload

Treatment = Literal["translated", "noted", "refused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What the user should know about one field.

    Attributes:
        field: The dotted key in the job file, `resources.disk_size`.
        done: What is done with it, a clause.
        why: The reason, a clause.
    """

    field: str
    done: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Restarts:
    """When the job is started again.

    Attributes:
        on: `preempted`, `failure` (any exit code but 0), and exit codes.
        most: How often.
        most_on_errors: How many more times for failures that only `failure` covers; None to count all
            together.
    """

    on: tuple[int | str, ...]
    most: int
    most_on_errors: int | None = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What would be asked of the control plane. Pure data, made without I/O.

    Attributes:
        candidates: In order of preference; at least one. They differ in GPU, region and what follows from it.
        notes: Everything the user should know before a cent is spent.
        dialect: How the file was read.
        account: Every leaf key of the input, and what became of it.
        cloud: `modal` or `local`.
        restarts: None for a job that is never started again.
        sources: The candidates' uploads by the dotted key of `JobConfig` that names them.
    """

    candidates: tuple[SandboxSpec, ...]
    notes: tuple[Note, ...]
    dialect: Dialect
    cloud: str
    account: dict[str, Treatment]
    restarts: Restarts | None = None
    sources: Mapping[str, Upload] = field(default_factory=dict[str, "Upload"])
