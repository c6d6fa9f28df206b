"""The launcher: one front for both clouds and the ledger they share."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING

from trebuchet.errors import JobNotFoundError, UsageError
from trebuchet.launcher import ending, refresh, search
from trebuchet.launcher.clouds import CLOUD_TYPES, Cloud
from trebuchet.launcher.handles import JobHandle
from trebuchet.launcher.log_access import LogAccess
from trebuchet.launcher.progress import Told
from trebuchet.launcher.upkeep import Upkeep
from trebuchet.lifecycle.contexts import Contexts
from trebuchet.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from trebuchet.client import Client
    from trebuchet.errors import TrebuchetError
    from trebuchet.job import JobConfig
    from trebuchet.launcher.clusters import Cluster
    from trebuchet.ledger import Event, Job
    from trebuchet.lifecycle.clock import Clock
    from trebuchet.plan.model import Plan
    from trebuchet.sandbox import SandboxSpec
    from trebuchet.status import JobStatus
    from trebuchet.uploads import Sent


class Launcher(LogAccess, Upkeep):
    """Launches jobs, and knows what became of them, whichever process launched them.

    Args:
        settings: Where state is kept, and the names used on the control plane.
        price: US dollars an hour for a sandbox, for `JobStatus.cost_per_hour`; without it that stays None.
        clock: For tests of what takes hours.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        price: Callable[[SandboxSpec], float | None] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.settings = settings or Settings()
        self.contexts = Contexts(self.settings, clock=clock)
        self._clouds = {name: made(self, price) for name, made in CLOUD_TYPES.items()}

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
        on_sending: Callable[[Sent], None] | None = None,
    ) -> tuple[Cluster, JobStatus]:
        """Launch a job; the cluster is made by it, or joined where it exists.

        Returns as soon as the sandbox's id is known; where a GPU is wanted that is before one is had.

        Args:
            job: What to run.
            cluster_name: The label; None for the sandbox's id.
            cloud: Overrides `job.resources.cloud`; None for that, then `TREBUCHET_CLOUD`, then `local`.
            key: Makes the launch idempotent: a job of this key is given back as it is, whatever `job` says,
                instead of launched again.
            wait_for_gpu: Seconds to go on asking for a GPU, each that the job may have; None for as long as
                the SDK does (21 minutes), or 5 minutes for each of several.
            on_build_output: Called with what an image build prints.
            on_waiting: Called about once a second while no sandbox id is known yet.
            on_sending: Called now and then with how far sending local files has got, perhaps from another
                thread.

        Raises:
            PlanError: The job cannot be run as written.
            LaunchError: Nothing was created, or what was created has been ended.
            ControlPlaneError: The control plane refused; nothing was created or is left.
            LedgerError: The intent could not be written; nothing was created.
            KeyboardInterrupt: Before the sandbox's id was known; nothing is left behind.
        """
        client = self.client_for(job, cloud)
        told = Told(client, on_build_output, on_waiting, on_sending)
        status = client.launch(job, cluster_name, key=key, wait_for_gpu=wait_for_gpu, progress=told)
        return self._clouds[client.cloud].cluster(status.cluster), status

    def retry(
        self,
        ref: str,
        values: Mapping[str, str] | None = None,
        *,
        wait_for_gpu: float | None = None,
        on_build_output: Callable[[str], None] | None = None,
        on_waiting: Callable[[JobStatus], None] | None = None,
        on_sending: Callable[[Sent], None] | None = None,
    ) -> tuple[Cluster, JobStatus]:
        """Launch a finished job once more, as it was written down: a new job, under the same label.

        Args:
            ref: As `find` takes it.
            values: By name, those of its `envs` and `secrets`, which nothing has kept.
            wait_for_gpu: As in `up`.
            on_build_output: As in `up`.
            on_waiting: As in `up`.
            on_sending: As in `up`.

        Raises:
            JobNotFoundError: No such job.
            UsageError: It has not ended, another machine launched it, or a value is missing.
            TrebuchetError: As `up` does.
        """
        job = self.job(ref)
        client = self.client(job.cloud)
        told = Told(client, on_build_output, on_waiting, on_sending)
        status = client.retry(job, values or {}, wait_for_gpu=wait_for_gpu, progress=told)
        return self._clouds[client.cloud].cluster(status.cluster), status

    def up_many(
        self,
        jobs: Sequence[JobConfig],
        cluster_name: str | None = None,
        *,
        cloud: str | None = None,
        on_done: Callable[[int, JobStatus | TrebuchetError], None] | None = None,
    ) -> list[JobStatus | TrebuchetError]:
        """Launch many jobs at once, as fast as the service allows; one that fails does not lose the others.

        Args:
            jobs: What to run.
            cluster_name: The label of all; None for one each.
            cloud: As in `up`.
            on_done: Called with a job's place in `jobs` and what became of its launch, from several threads.

        Returns:
            In the order of `jobs`, a status, or the error that kept one from being launched.
        """
        from trebuchet.launcher import many  # noqa: PLC0415 - rarely wanted

        return many.up_many(self, jobs, cluster_name, cloud=cloud, on_done=on_done)

    def run(self, job: JobConfig, cluster_name: str) -> JobStatus:
        """Launch a job on a cluster that exists.

        Raises:
            ClusterNotFoundError: No job was ever launched under the name.
        """
        cloud = self.get_cloud(job)
        if cloud.get_cluster(cluster_name) is None:
            raise search.no_cluster(cluster_name)
        return cloud.client.launch(job, cluster_name)

    def plan(self, job: JobConfig, *, cloud: str | None = None) -> Plan:
        """What `up` would ask for. Creates nothing; for the local cloud it looks at the machine.

        Raises:
            PlanError: The job cannot be run as written.
        """
        return self.client_for(job, cloud).plan(job)

    # --- looking

    def status(
        self,
        cloud: str | None = None,
        cluster: str | None = None,
        id: str | None = None,  # noqa: A002 - Oumi's name
        *,
        cached: bool = False,
        unfinished: bool = False,
        ended_since: float | None = None,
    ) -> dict[str, list[JobStatus]]:
        """Jobs by cloud, newest first; every job of the ledger that passes the filters.

        Unfinished jobs are looked up first: one list for each cloud that has any, and one look-up for each
        that has newly ended. Where the control plane gives no answer the last known state stands, and its age
        is in `metadata` (`stale_s`, `stale_why`).

        Args:
            cloud: `modal` or `local`; None for both.
            cluster: Only of this cluster.
            id: Only this job: a key, a sandbox id of any attempt, or a prefix that is unique.
            cached: Look nothing up.
            unfinished: Leave out what has ended.
            ended_since: Leave out what ended before, in seconds since the epoch: it costs nothing then.

        Raises:
            ClusterNotFoundError: No job was ever launched under `cluster`.
            JobNotFoundError: No job is called `id`.
        """
        clouds = [self.client(cloud).cloud] if cloud is not None else self.which_clouds()
        if not cached:
            self.rebuild()
        if id is not None:
            job = search.find_job(self, id, cached=cached)
            if job.cloud not in clouds or not _is_of(job, cluster):
                raise JobNotFoundError(f"{id} is not among the jobs asked for.")
            found = [job]
        else:
            found = self._of(
                clouds, cluster, cached=cached, ended_since=math.inf if unfinished else ended_since
            )
        stale = {} if cached else refresh.refresh(self.contexts, found, cluster=cluster)
        if id is not None and not cached:
            refresh.learn_costs(self.contexts, found)
        fresh = found if cached else refresh.as_now(self.contexts, found)
        return {
            name: [
                self.client(name).status_of(job, stale=stale.get(job.key))
                for job in fresh
                if job.cloud == name and not (unfinished and job.end_at is not None)
            ]
            for name in clouds
        }

    def _of(
        self, clouds: Sequence[str], cluster: str | None, *, cached: bool, ended_since: float | None = None
    ) -> list[Job]:
        found = self.contexts.ledger.jobs(cluster=cluster, ended_since=ended_since)
        jobs = [job for job in found if job.cloud in clouds]
        if cluster is not None and not jobs and not self.jobs(cluster=cluster):
            if not cached:
                jobs = search.adopt_cluster(self, clouds, cluster)
            if not jobs:
                raise search.no_cluster(cluster)
        return jobs

    def find(self, ref: str, *, cached: bool = False) -> JobStatus:
        """One job by its key, an id of any attempt, a unique prefix; the newest of a cluster, or of a name.

        Raises:
            JobNotFoundError: There is none, or a prefix fits several (the hint names them).
        """
        job = search.find_job(self, ref, cached=cached)
        stale = {} if cached else refresh.refresh(self.contexts, [job])
        if not cached:
            refresh.learn_costs(self.contexts, [job])
        job = self.contexts.ledger.job(job.key) or job
        return self.client(job.cloud).status_of(job, stale=stale.get(job.key))

    def job(self, ref: str) -> Job:
        """The ledger's row of a job, named as `find` takes it. Makes no call where the ledger knows it.

        Raises:
            JobNotFoundError: There is none, or a prefix fits several.
        """
        return search.find_job(self, ref, cached=False)

    def attach(self, ref: str) -> JobHandle:
        """A job, named as `find` takes it, to be asked and told: its logs, its outputs, its end.

        Raises:
            JobNotFoundError: There is none, or a prefix fits several.
        """
        return JobHandle(self, self.job(ref).key)

    def jobs(self, *, cloud: str | None = None, cluster: str | None = None) -> list[JobStatus]:
        """What the ledger knows, newest first, nothing looked up; [] where it knows nothing."""
        jobs = self.contexts.ledger.jobs(cloud=cloud, cluster=cluster)
        return [self.client(job.cloud).status_of(job) for job in jobs]

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
            refs: As `find` takes them; a cluster's name stands for all its unfinished jobs, where it has any.
            any_one: Return at the first end.
            timeout: Seconds; the statuses as they then are come back.
            on_change: Called whenever a job's state or reason has changed.
        """
        jobs = [job for ref in refs for job in search.find_jobs(self, ref)]
        ended = refresh.wait(
            self.contexts,
            jobs,
            enough=1 if any_one else len(jobs),
            timeout=timeout,
            on_change=lambda job: on_change(self._status(job)) if on_change is not None else None,
        )
        return [self._status(job) for job in ended]

    def events(self, ref: str) -> list[Event]:
        """What happened to a job, oldest first."""
        return self.contexts.ledger.events(search.find_job(self, ref, cached=True).key)

    # --- ending

    def cancel(self, id: str, cloud: str | None = None, cluster: str | None = None) -> JobStatus:  # noqa: A002 - Oumi's name
        """End a job. A job that has ended already stays what it was.

        The wish is written first; if the control plane cannot be reached then, the next reconcile ends it.

        Args:
            id: As `find` takes it; of a cluster, its only unfinished job.
            cloud: Where given, the job must be on it.
            cluster: Where given, the job must be of it.

        Raises:
            JobNotFoundError: No such job.
            UsageError: It is a cluster with several unfinished jobs.
            ClusterUnreachableError: The wish is written and the sandbox's end is not yet known.
        """
        job = search.find_to_end(self, id)
        if (cloud is not None and job.cloud != self.client(cloud).cloud) or not _is_of(job, cluster):
            raise JobNotFoundError(f"{id} is not among the jobs of {cluster or cloud}.")
        return self._status(ending.cancel_all(self.contexts, [job])[0])

    def stop(self, cloud: str, cluster: str) -> list[JobStatus]:
        """Cancel every unfinished job of a cluster; gives those it cancelled.

        Raises:
            ClusterNotFoundError: No job was ever launched under the name.
        """
        jobs = self._of([self.client(cloud).cloud], cluster, cached=False)
        refresh.refresh(self.contexts, jobs, cluster=cluster)
        return [self._status(job) for job in ending.cancel_all(self.contexts, self._unfinished(jobs))]

    def down(self, cloud: str, cluster: str) -> list[JobStatus]:
        """As `stop`, and verify that nothing of the cluster runs any more.

        Raises:
            ClusterNotFoundError: No job was ever launched under the name.
            ControlPlaneError: Something still runs; the message names it.
        """
        stopped = self.stop(cloud, cluster)
        ending.verify_gone(self.contexts, self.contexts.of(cloud), cluster)
        return [self.find(status.key, cached=True) for status in stopped]

    # --- clouds

    def get_cloud(self, job_or_cloud: JobConfig | str) -> Cloud:
        """The cloud of this name, or the one where this job would run.

        Raises:
            UsageError: There is no cloud of this name.
        """
        name = job_or_cloud if isinstance(job_or_cloud, str) else self._cloud_of(job_or_cloud)
        if name not in self._clouds:
            raise UsageError(
                f"There is no cloud {name!r}.",
                hint="Jobs run on Modal or on this machine: --cloud modal or --cloud local",
            )
        return self._clouds[name]

    def which_clouds(self) -> list[str]:
        """`["local", "modal"]`."""
        return list(self._clouds)

    def client(self, cloud: str) -> Client:
        """The client of a cloud.

        Raises:
            UsageError: There is no cloud of this name.
        """
        return self.get_cloud(cloud).client

    def client_for(self, job: JobConfig, cloud: str | None = None) -> Client:
        """The client of the cloud where a job would run; `cloud` overrides what the job says.

        Raises:
            UsageError: There is no cloud of this name.
            PlanError: There is none of the name that the job says.
        """
        if cloud is None and job.resources.cloud is not None and job.resources.cloud not in self._clouds:
            from trebuchet.plan.make import require_cloud  # noqa: PLC0415 - a status makes no plan

            require_cloud(job)
        return self.client(cloud or self._cloud_of(job))

    def close(self) -> None:
        """Drop connections. Jobs live on."""
        self.contexts.close()

    def _status(self, job: Job) -> JobStatus:
        return self.client(job.cloud).status_of(job)

    def _unfinished(self, jobs: Sequence[Job]) -> list[Job]:
        return [job for job in refresh.as_now(self.contexts, jobs) if job.end_at is None]

    @staticmethod
    def _cloud_of(job: JobConfig) -> str:
        return job.resources.cloud or os.environ.get("TREBUCHET_CLOUD") or "local"


def _is_of(job: Job, cluster: str | None) -> bool:
    return cluster is None or cluster in {job.cluster, job.sandbox_id, job.key}
