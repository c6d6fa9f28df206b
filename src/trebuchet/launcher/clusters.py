"""Clusters in the shape of Oumi's: all jobs under one label. Nothing is rented by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trebuchet.client import ModalLogStream
    from trebuchet.job import JobConfig
    from trebuchet.status import JobStatus


class Cluster:
    def name(self) -> str:
        """The label."""
        raise NotImplementedError

    def get_job(self, job_id: str) -> JobStatus | None:
        """The job of this key or sandbox id, looked up; None where the cluster has none such."""
        raise NotImplementedError

    def get_jobs(self) -> list[JobStatus]:
        """All its jobs, looked up with one list, newest first."""
        raise NotImplementedError

    def run_job(self, job: JobConfig) -> JobStatus:
        """Launch another job under the label."""
        raise NotImplementedError

    def cancel_job(self, job_id: str) -> JobStatus:
        """End one of its jobs."""
        raise NotImplementedError

    def stop(self) -> None:
        """Cancel all its unfinished jobs."""
        raise NotImplementedError

    def down(self) -> None:
        """As `stop`, and verify that they are gone."""
        raise NotImplementedError

    def get_logs_stream(self, cluster_name: str | None = None, job_id: str | None = None) -> ModalLogStream:
        """The output of one of its jobs as a text stream, the newest where none is named."""
        raise NotImplementedError


class ModalCluster(Cluster):
    """A cluster; both clouds have the same."""
