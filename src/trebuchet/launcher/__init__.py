"""Clouds, clusters and jobs, in the shape of `oumi.launcher`: module functions over one default `Launcher`.

    from trebuchet import launcher

    cluster, status = launcher.up(JobConfig.from_yaml("train.yaml"), "my-cluster")
    launcher.status()            # {"local": [JobStatus(...)], "modal": []}
    launcher.cancel(status.id, "local", "my-cluster")

Every method of `Launcher` that is no constructor is a function here as well.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from trebuchet.launcher.clouds import Cloud, LocalCloud, ModalCloud
from trebuchet.launcher.clusters import Cluster, ModalCluster
from trebuchet.launcher.launcher import Launcher
from trebuchet.settings import Settings

if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "Cloud",
    "Cluster",
    "Launcher",
    "LocalCloud",
    "ModalCloud",
    "ModalCluster",
    "cancel",
    "down",
    "get_cloud",
    "run",
    "status",
    "stop",
    "up",
    "which_clouds",
]

_launcher = cache(Launcher)


def __getattr__(name: str) -> Any:
    """The methods of the default launcher, bound to it when they are first asked for."""
    if name in __all__:
        return getattr(_launcher(Settings()), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
