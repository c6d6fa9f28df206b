"""Clouds in the shape of Oumi's: a place that has clusters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from trebuchet.client import Client, LocalClient, ModalClient
from trebuchet.errors import ClusterNotFoundError
from trebuchet.launcher.clusters import Cluster, ModalCluster

if TYPE_CHECKING:
    from collections.abc import Callable

    from trebuchet.job import JobConfig
    from trebuchet.launcher.launcher import Launcher
    from trebuchet.sandbox import SandboxSpec
    from trebuchet.status import JobStatus


class Cloud:
    """A place where jobs run.

    Args:
        launcher: The launcher whose ledger it reads; None for one of its own with the default settings.
        price: See `Launcher`.

    Attributes:
        name: `modal` or `local`.
        client: Its primitives.
    """

    name: ClassVar[str]
    client_type: ClassVar[type[Client]]

    def __init__(
        self,
        launcher: Launcher | None = None,
        price: Callable[[SandboxSpec], float | None] | None = None,
    ) -> None:
        if launcher is None:
            from trebuchet.launcher.launcher import Launcher  # noqa: PLC0415 - which needs this module

            launcher = Launcher(price=price)
        self._launcher = launcher
        self.client = self.client_type(price=price, contexts=launcher.contexts)

    def up_cluster(self, job: JobConfig, name: str | None, **options: Any) -> JobStatus:
        """Launch a job under a label; `options` are those of `Client.launch`."""
        return self.client.launch(job, name, **options)

    def get_cluster(self, name: str) -> Cluster | None:
        """The cluster of this name, or None where no job was ever launched under it.

        Raises:
            ClusterUnreachableError: The ledger does not know it, and the control plane gave no answer.
        """
        cluster = self.cluster(name)
        try:
            self._launcher.status(self.name, name, cached=True)
        except ClusterNotFoundError:
            pass
        else:
            return cluster
        try:
            self._launcher.status(self.name, name)
        except ClusterNotFoundError:
            return None
        return cluster

    def cluster(self, name: str) -> Cluster:
        """The cluster of a name that is known to be one's."""
        return ModalCluster(self._launcher, self.name, name)

    def list_clusters(self) -> list[Cluster]:
        """Every cluster that the ledger knows, the one used last first."""
        return [self.cluster(name) for name in self._launcher.contexts.ledger.clusters(self.name)]


class ModalCloud(Cloud):
    name = "modal"
    client_type = ModalClient


class LocalCloud(Cloud):
    name = "local"
    client_type = LocalClient


CLOUD_TYPES: dict[str, type[Cloud]] = {cloud.name: cloud for cloud in (LocalCloud, ModalCloud)}
