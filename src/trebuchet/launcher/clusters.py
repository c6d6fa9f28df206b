"""Clusters in the shape of Oumi's: all jobs under one label. Nothing is rented by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trebuchet.client import ModalLogStream
from trebuchet.errors import ClusterNotFoundError, JobNotFoundError

if TYPE_CHECKING:
    from trebuchet.job import JobConfig
    from trebuchet.launcher.launcher import Launcher
    from trebuchet.status import JobStatus


class Cluster:
    """All jobs under one label of one cloud. Equal to another of the same name and cloud."""

    def __init__(self, launcher: Launcher, cloud: str, name: str) -> None:
        self._launcher = launcher
        self._cloud = cloud
        self._name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cluster) and (self._cloud, self._name) == (other._cloud, other._name)

    def __hash__(self) -> int:
        return hash((self._cloud, self._name))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._cloud!r}, {self._name!r})"

    def name(self) -> str:
        """The label."""
        return self._name

    def get_job(self, job_id: str) -> JobStatus | None:
        """The job of this key or sandbox id, looked up; None where the cluster has none such."""
        try:
            [status] = self._launcher.status(self._cloud, self._name, job_id)[self._cloud]
        except JobNotFoundError:
            return None
        return status

    def get_jobs(self) -> list[JobStatus]:
        """All its jobs, looked up with one list, newest first."""
        return self._launcher.status(self._cloud, self._name)[self._cloud]

    def run_job(self, job: JobConfig) -> JobStatus:
        """Launch another job under the label."""
        return self._launcher.client(self._cloud).launch(job, self._name)

    def cancel_job(self, job_id: str) -> JobStatus:
        """End one of its jobs.

        Raises:
            JobNotFoundError: The cluster has no such job.
        """
        return self._launcher.cancel(job_id, self._cloud, self._name)

    def stop(self) -> None:
        """Cancel all its unfinished jobs."""
        self._launcher.stop(self._cloud, self._name)

    def down(self) -> None:
        """As `stop`, and verify that they are gone."""
        self._launcher.down(self._cloud, self._name)

    def get_logs_stream(self, cluster_name: str | None = None, job_id: str | None = None) -> ModalLogStream:
        """The output of one of its jobs as a text stream, the newest where none is named.

        Args:
            cluster_name: Its own name; taken for the sake of Oumi's callers.
            job_id: A key or a sandbox id.

        Raises:
            ClusterNotFoundError: `cluster_name` is another's.
            JobNotFoundError: The cluster has no such job.
        """
        if cluster_name not in {None, self._name}:
            raise ClusterNotFoundError(f"This is the cluster {self._name!r}, not {cluster_name!r}.")
        jobs = self._launcher.status(self._cloud, self._name, job_id, cached=True)[self._cloud]
        return ModalLogStream(self._launcher.logs(jobs[0].key, follow=True))


class ModalCluster(Cluster):
    """A cluster of either cloud: they speak the same protocol."""
