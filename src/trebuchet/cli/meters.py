"""What running jobs take of processors, memory and GPUs, read now and then."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from trebuchet.cli.render import metadata_of
from trebuchet.cli.sizes import size
from trebuchet.errors import ControlPlaneError, NotFoundError

if TYPE_CHECKING:
    from trebuchet.engines.base import GpuUsage, Usage
    from trebuchet.launcher import Launcher
    from trebuchet.status import JobStatus

_UNKNOWN = "-"
_EVERY_S = {"local": 2.0}
_EVERY_FAR_AWAY_S = 30.0
"""A reading there is a command in the sandbox."""


class Taken(NamedTuple):
    """In words; a dash for what is not known."""

    cpu: str = _UNKNOWN
    memory: str = _UNKNOWN
    gpu: str = _UNKNOWN


@dataclass
class _Meter:
    due: float = 0.0
    before: Usage | None = None
    taken: Taken = field(default_factory=Taken)


class Meters:
    """Knows what each job takes.

    Args:
        launcher: Asks the jobs.
    """

    def __init__(self, launcher: Launcher) -> None:
        self._launcher = launcher
        self._meters: dict[tuple[str, int], _Meter] = {}

    def read(self, status: JobStatus) -> Taken:
        """What a running job takes, as of a short while ago. Threads may read, each of other jobs."""
        meter = self._meters.setdefault((status.key, status.attempt), _Meter())
        if time.monotonic() >= meter.due:
            cloud = str(metadata_of(status).get("cloud"))
            try:
                inside = self._launcher.inside(status.key)
                now = inside.usage()
                meter.taken = Taken(*_words(meter.before, now), _gpu_words(inside.gpu_usage()))
                meter.before = now
            except (ControlPlaneError, NotFoundError):
                meter.taken = Taken()  # It has just ended, or cannot be reached.
            every = _EVERY_S.get(cloud, _EVERY_FAR_AWAY_S)
            meter.due = time.monotonic() + every
        return meter.taken


def _words(before: Usage | None, now: Usage | None) -> tuple[str, str]:
    if now is None:
        return _UNKNOWN, _UNKNOWN
    if before is None or now.at <= before.at:
        return _UNKNOWN, size(now.memory)
    # A process that ended without being waited for takes its time with it.
    cpu = max(now.cpu_s - before.cpu_s, 0.0) / (now.at - before.at)
    return f"{cpu:.0%}", size(now.memory)


def _gpu_words(usage: GpuUsage | None) -> str:
    if usage is None:
        return _UNKNOWN
    return f"{usage.busy:.0%} {size(usage.memory)}/{size(usage.memory_size)}"
