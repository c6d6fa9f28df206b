"""Trebuchet runs job files in sandboxes, on Modal or on its own local engine.

    import trebuchet

    job = trebuchet.JobConfig.from_yaml("train.yaml")
    cluster, status = trebuchet.up(job, "my-cluster")

Importing it is cheap: a name brings its module along when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trebuchet.client import LocalClient, ModalClient, ModalLogStream
    from trebuchet.client.log_reading import LogReading
    from trebuchet.errors import TrebuchetError
    from trebuchet.job import JobConfig, JobResources, StorageMount
    from trebuchet.launcher import (
        JobHandle,
        Launcher,
        attach,
        cancel,
        down,
        events,
        find,
        get_cloud,
        retry,
        run,
        stop,
        up,
        up_many,
        wait,
        which_clouds,
    )
    from trebuchet.settings import Settings
    from trebuchet.status import JobState, JobStatus, LogEntry, Phase, Reason

__all__ = [
    "JobConfig",
    "JobHandle",
    "JobResources",
    "JobState",
    "JobStatus",
    "Launcher",
    "LocalClient",
    "LogEntry",
    "ModalClient",
    "ModalLogStream",
    "Phase",
    "Reason",
    "Settings",
    "StorageMount",
    "TrebuchetError",
    "attach",
    "cancel",
    "down",
    "events",
    "find",
    "get_cloud",
    "logs",
    "retry",
    "run",
    "status",
    "stop",
    "up",
    "up_many",
    "wait",
    "which_clouds",
]

for _module in ("logs", "status"):
    # First of all: it becomes an attribute of the package, whose place the function of that name takes below.
    import_module(f"{__name__}.{_module}")

_HOMES = {
    "client": ("LocalClient", "ModalClient", "ModalLogStream"),
    "errors": ("TrebuchetError",),
    "job": ("JobConfig", "JobResources", "StorageMount"),
    "launcher": (
        "JobHandle",
        "Launcher",
        "attach",
        "cancel",
        "down",
        "events",
        "find",
        "get_cloud",
        "retry",
        "run",
        "stop",
        "up",
        "up_many",
        "wait",
        "which_clouds",
    ),
    "settings": ("Settings",),
    "status": ("JobState", "JobStatus", "LogEntry", "Phase", "Reason"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def status(
    cloud: str | None = None,
    cluster: str | None = None,
    id: str | None = None,  # noqa: A002 - Oumi's name
    *,
    cached: bool = False,
) -> dict[str, list[JobStatus]]:
    """See `trebuchet.Launcher.status`."""
    from trebuchet.launcher import default  # noqa: PLC0415 - importing the package stays cheap

    return default.status(cloud, cluster, id, cached=cached)


def logs(ref: str, **options: Any) -> LogReading:
    """See `trebuchet.Launcher.logs`."""
    from trebuchet.launcher import default  # noqa: PLC0415 - importing the package stays cheap

    return default.logs(ref, **options)
