"""The functions of the package: methods of one launcher, made of the settings at the time of the call."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from trebuchet.launcher.launcher import Launcher
from trebuchet.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trebuchet.client.log_reading import LogReading
    from trebuchet.errors import TrebuchetError
    from trebuchet.job import JobConfig
    from trebuchet.launcher.clouds import Cloud
    from trebuchet.launcher.clusters import Cluster
    from trebuchet.launcher.handles import JobHandle
    from trebuchet.ledger import Event
    from trebuchet.status import JobStatus

_launcher_of = lru_cache(maxsize=8)(Launcher)


def _launcher() -> Launcher:
    return _launcher_of(Settings())


def up(job: JobConfig, cluster_name: str | None = None, **options: Any) -> tuple[Cluster, JobStatus]:
    """See `Launcher.up`."""
    return _launcher().up(job, cluster_name, **options)


def up_many(
    jobs: Sequence[JobConfig], cluster_name: str | None = None, **options: Any
) -> list[JobStatus | TrebuchetError]:
    """See `Launcher.up_many`."""
    return _launcher().up_many(jobs, cluster_name, **options)


def retry(ref: str, values: Mapping[str, str] | None = None, **options: Any) -> tuple[Cluster, JobStatus]:
    """See `Launcher.retry`."""
    return _launcher().retry(ref, values, **options)


def run(job: JobConfig, cluster_name: str) -> JobStatus:
    """See `Launcher.run`."""
    return _launcher().run(job, cluster_name)


def status(
    cloud: str | None = None,
    cluster: str | None = None,
    id: str | None = None,  # noqa: A002 - Oumi's name
    *,
    cached: bool = False,
) -> dict[str, list[JobStatus]]:
    """See `Launcher.status`."""
    return _launcher().status(cloud, cluster, id, cached=cached)


def find(ref: str, *, cached: bool = False) -> JobStatus:
    """See `Launcher.find`."""
    return _launcher().find(ref, cached=cached)


def wait(refs: Sequence[str], **options: Any) -> list[JobStatus]:
    """See `Launcher.wait`."""
    return _launcher().wait(refs, **options)


def logs(ref: str, **options: Any) -> LogReading:
    """See `Launcher.logs`."""
    return _launcher().logs(ref, **options)


def attach(ref: str) -> JobHandle:
    """See `Launcher.attach`."""
    return _launcher().attach(ref)


def events(ref: str) -> list[Event]:
    """See `Launcher.events`."""
    return _launcher().events(ref)


def cancel(id: str, cloud: str | None = None, cluster: str | None = None) -> JobStatus:  # noqa: A002 - Oumi's name
    """See `Launcher.cancel`."""
    return _launcher().cancel(id, cloud, cluster)


def stop(cloud: str, cluster: str) -> list[JobStatus]:
    """See `Launcher.stop`."""
    return _launcher().stop(cloud, cluster)


def down(cloud: str, cluster: str) -> list[JobStatus]:
    """See `Launcher.down`."""
    return _launcher().down(cloud, cluster)


def get_cloud(job_or_cloud: JobConfig | str) -> Cloud:
    """See `Launcher.get_cloud`."""
    return _launcher().get_cloud(job_or_cloud)


def which_clouds() -> list[str]:
    """See `Launcher.which_clouds`."""
    return _launcher().which_clouds()
