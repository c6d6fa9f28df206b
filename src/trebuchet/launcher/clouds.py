"""Clouds in the shape of Oumi's: a place that has clusters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trebuchet.job import JobConfig
    from trebuchet.launcher.clusters import Cluster
    from trebuchet.status import JobStatus


class Cloud:
    """A place where jobs run.

    Attributes:
        name: `modal` or `local`.
    """

    name: str

    def up_cluster(self, job: JobConfig, name: str | None, **options: Any) -> JobStatus:
        """Launch a job under a label; `options` are those of `Launcher.up`."""
        raise NotImplementedError

    def get_cluster(self, name: str) -> Cluster | None:
        """The cluster of this name, or None where no job was ever launched under it."""
        raise NotImplementedError

    def list_clusters(self) -> list[Cluster]:
        """Every cluster that the ledger knows, the one used last first."""
        raise NotImplementedError


class ModalCloud(Cloud):
    name = "modal"


class LocalCloud(Cloud):
    name = "local"
