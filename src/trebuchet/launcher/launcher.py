"""The launcher: one front for both clouds and the ledger they share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trebuchet.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from trebuchet.job import JobConfig
    from trebuchet.launcher.clouds import Cloud
    from trebuchet.launcher.clusters import Cluster
    from trebuchet.ledger import Event
    from trebuchet.plan.model import Plan
    from trebuchet.sandbox import SandboxSpec
    from trebuchet.status import JobStatus, LogEntry, LogSource


class Launcher:
    """Launches jobs, and knows what became of them, whichever process launched them.

    Args:
        settings: Where state is kept, and the names used on the control plane.
        price: US dollars an hour for a sandbox, for `JobStatus.cost_per_hour`; without it that stays None.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        price: Callable[[SandboxSpec], float | None] | None = None,
    ) -> None:
        self.settings = settings or Settings()
        self._price = price

    # --- launching

    def up(
        self,
        job: JobConfig,
        cluster_name: str | None = None,
        *,
        cloud: str | None = None,
        key: str | None = None,
        wait_for_gpu: float | None = None,
        on_build_output: Callable[[str], None] | None = None,
        on_waiting: Callable[[JobStatus], None] | None = None,
    ) -> tuple[Cluster, JobStatus]:
        """Launch a job; the cluster is made by it, or joined where it exists.

        Returns as soon as the sandbox's id is known; where a GPU is wanted that is before one is had.

        Args:
            job: What to run.
            cluster_name: The label; None for the sandbox's id.
            cloud: Overrides `job.resources.cloud`; None for that, then `TREBUCHET_CLOUD`, then `local`.
            key: Makes the launch idempotent: a job of this key is given back instead of launched again.
            wait_for_gpu: Seconds to go on asking for a GPU; None for as long as the SDK does (21 minutes).
            on_build_output: Called with what an image build prints.
            on_waiting: Called about once a second while no sandbox id is known yet.

        Raises:
            PlanError: The job cannot be run as written.
            LaunchError: Nothing was created, or what was created has been ended.
            ControlPlaneError: The control plane refused.
            LedgerError: The intent could not be written; nothing was created.
            KeyboardInterrupt: Before the sandbox's id was known; nothing is left behind.
        """
        raise NotImplementedError

    def run(self, job: JobConfig, cluster_name: str) -> JobStatus:
        """Launch a job on a cluster that exists.

        Raises:
            ClusterNotFoundError: No job was ever launched under the name.
        """
        raise NotImplementedError

    def plan(self, job: JobConfig, *, cloud: str | None = None) -> Plan:
        """What `up` would ask for. Creates nothing; for the local cloud it looks at the machine.

        Raises:
            PlanError: The job cannot be run as written.
        """
        raise NotImplementedError

    # --- looking

    def status(
        self,
        cloud: str | None = None,
        cluster: str | None = None,
        id: str | None = None,  # noqa: A002 - Oumi's name
        *,
        cached: bool = False,
        unfinished: bool = False,
    ) -> dict[str, list[JobStatus]]:
        """Jobs by cloud, newest first; every job of the ledger that passes the filters.

        Unfinished jobs are looked up first: one list for each cloud that has any, and one look-up for each that
        has newly ended. Where the control plane gives no answer the last known state stands, and its age is in
        `metadata` (`stale_s`, `stale_why`).

        Args:
            cloud: `modal` or `local`; None for both.
            cluster: Only of this cluster.
            id: Only this job: a key, a sandbox id of any attempt, or a prefix that is unique.
            cached: Look nothing up.
            unfinished: Leave out what has ended.

        Raises:
            ClusterNotFoundError: No job was ever launched under `cluster`.
            JobNotFoundError: No job is called `id`.
        """
        raise NotImplementedError

    def find(self, ref: str, *, cached: bool = False) -> JobStatus:
        """One job by its key, a sandbox id of any attempt, a unique prefix of either; else the newest of a cluster.

        Raises:
            JobNotFoundError: There is none, or a prefix fits several (the hint names them).
        """
        raise NotImplementedError

    def jobs(self, *, cloud: str | None = None, cluster: str | None = None) -> list[JobStatus]:
        """What the ledger knows, newest first, nothing looked up; [] where it knows nothing."""
        raise NotImplementedError

    def wait(
        self,
        refs: Sequence[str],
        *,
        any_one: bool = False,
        timeout: float | None = None,
        on_change: Callable[[JobStatus], None] | None = None,
    ) -> list[JobStatus]:
        """Block until the jobs have ended (with `any_one`: until one has); their statuses in the order given.

        Args:
            refs: As `find` takes them.
            any_one: Return at the first end.
            timeout: Seconds; the statuses as they then are come back.
            on_change: Called whenever a job's state or reason has changed.
        """
        raise NotImplementedError

    def logs(
        self,
        ref: str,
        *,
        follow: bool = False,
        since: datetime | None = None,
        tail: int | None = None,
        source: LogSource | None = None,
        attempt: int | None = None,
    ) -> Iterator[LogEntry]:
        """Output of a job without our marker lines, oldest first; with `follow` until it has ended.

        Args:
            ref: As `find` takes it.
            follow: Go on until the job has ended and all of its output was given.
            since: Only what was received from then on.
            tail: Only the last so many entries.
            source: Only this stream.
            attempt: Of this attempt; None for the newest.

        Raises:
            JobNotFoundError: No such job, or it has no such attempt.
            ClusterUnreachableError: The connection broke and stayed away; the log goes on, unseen.
        """
        raise NotImplementedError

    def events(self, ref: str) -> list[Event]:
        """What happened to a job, oldest first."""
        raise NotImplementedError

    # --- ending

    def cancel(self, id: str, cloud: str | None = None, cluster: str | None = None) -> JobStatus:  # noqa: A002
        """End a job. A job that has ended already stays what it was.

        The wish is written first; if the control plane cannot be reached then, whoever reconciles next ends it.

        Args:
            id: As `find` takes it.
            cloud: Where given, the job must be on it.
            cluster: Where given, the job must be of it.

        Raises:
            JobNotFoundError: No such job.
            ClusterUnreachableError: The wish is written and the sandbox's end is not yet known.
        """
        raise NotImplementedError

    def stop(self, cloud: str, cluster: str) -> list[JobStatus]:
        """Cancel every unfinished job of a cluster; gives those it cancelled.

        Raises:
            ClusterNotFoundError: No job was ever launched under the name.
        """
        raise NotImplementedError

    def down(self, cloud: str, cluster: str) -> list[JobStatus]:
        """As `stop`, and verify that nothing of the cluster runs any more.

        Raises:
            ClusterNotFoundError: No job was ever launched under the name.
            ControlPlaneError: Something still runs; the message names it.
        """
        raise NotImplementedError

    # --- clouds

    def get_cloud(self, job_or_cloud: JobConfig | str) -> Cloud:
        """The cloud of this name, or the one where this job would run.

        Raises:
            UsageError: There is no cloud of this name.
        """
        raise NotImplementedError

    def which_clouds(self) -> list[str]:
        """`["local", "modal"]`."""
        raise NotImplementedError

    # --- upkeep

    def reconcile(self) -> list[JobStatus]:
        """Move what is toward what was wanted, once; gives the jobs whose state changed by it."""
        raise NotImplementedError

    def close(self) -> None:
        """Drop connections. Jobs live on."""
        raise NotImplementedError
