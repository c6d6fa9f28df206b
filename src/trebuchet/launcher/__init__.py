"""Clouds, clusters and jobs, in the shape of `oumi.launcher`: functions over one default `Launcher`.

from trebuchet import JobConfig, launcher

cluster, status = launcher.up(JobConfig.from_yaml("train.yaml"), "my-cluster")
launcher.status()            # {"local": [JobStatus(...)], "modal": []}
launcher.cancel(status.id, "local", "my-cluster")
"""

from __future__ import annotations

from trebuchet.job import JobConfig, JobResources, StorageMount
from trebuchet.launcher.clouds import Cloud, LocalCloud, ModalCloud
from trebuchet.launcher.clusters import Cluster, ModalCluster
from trebuchet.launcher.default import (
    attach,
    cancel,
    down,
    events,
    find,
    get_cloud,
    logs,
    retry,
    run,
    status,
    stop,
    up,
    up_many,
    wait,
    which_clouds,
)
from trebuchet.launcher.handles import JobHandle
from trebuchet.launcher.launcher import Launcher

__all__ = [
    "Cloud",
    "Cluster",
    "JobConfig",
    "JobHandle",
    "JobResources",
    "Launcher",
    "LocalCloud",
    "ModalCloud",
    "ModalCluster",
    "StorageMount",
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
