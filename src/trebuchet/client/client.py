"""One client for each cloud. They differ in the address alone."""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, cast

from trebuchet.client.log_stream import ModalLogStream
from trebuchet.errors import ClusterUnreachableError, JobNotFoundError, LaunchError, UsageError
from trebuchet.lifecycle import cancel, launch, naming, reconcile
from trebuchet.lifecycle.adopt import adopt
from trebuchet.lifecycle.candidates import tried
from trebuchet.lifecycle.contexts import Contexts
from trebuchet.lifecycle.view import status_of
from trebuchet.settings import Settings
from trebuchet.status import JobState
from trebuchet.telling import silent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from trebuchet.client.inside import Inside
    from trebuchet.client.log_reading import LogReading
    from trebuchet.client.outputs import Outputs
    from trebuchet.job import JobConfig
    from trebuchet.ledger import Job
    from trebuchet.lifecycle.context import Context
    from trebuchet.lifecycle.launch import Progress
    from trebuchet.plan.machine import Machine
    from trebuchet.plan.model import Plan
    from trebuchet.sandbox import SandboxSpec
    from trebuchet.status import JobStatus, LogSource

    Price = Callable[[SandboxSpec], float | None]


class _SdkSide(Protocol):
    """What the engines offer beside their contract."""

    def handle(self, sandbox_id: str) -> Any: ...


class Client:
    """The primitives on one cloud. Use `ModalClient` or `LocalClient`.

    Args:
        settings: Where state is kept, and the names used on the control plane.
        price: US dollars an hour for a sandbox, for `JobStatus.cost_per_hour`; without it that stays None.
        contexts: To share a ledger and connections with other clients.
    """

    cloud: ClassVar[str]

    def __init__(
        self,
        settings: Settings | None = None,
        price: Price | None = None,
        *,
        contexts: Contexts | None = None,
    ) -> None:
        self.settings = contexts.settings if contexts is not None else settings or Settings()
        self._contexts = contexts or Contexts(self.settings)
        self._price = price
        self._launched: dict[str, list[str]] = {}

    # --- launching

    def launch(
        self,
        job: JobConfig,
        cluster_name: str | None = None,
        timeout: int | None = None,
        *,
        key: str | None = None,
        wait_for_gpu: float | None = None,
        progress: Progress | None = None,
    ) -> JobStatus:
        """Create a job's sandbox, which outlives this process; returns when its id is known.

        Args:
            job: What to run.
            cluster_name: The label; None for the sandbox's id.
            timeout: Seconds until the job is ended; None for the job file's own, then 24 hours.
            key: Makes the launch idempotent: a job of this key is given back instead of launched again.
            wait_for_gpu: Seconds to go on asking for a GPU, each that the job may have; None for as long as
                the SDK does (21 minutes), or 5 minutes for each of several.
            progress: Is told how it goes on.

        Raises:
            PlanError: The job cannot be run as written.
            LaunchError: Nothing was created, or what was created has been ended.
            ControlPlaneError: The control plane refused; nothing was created or is left.
            LedgerError: The intent could not be written; nothing was created.
        """
        if timeout is not None:
            job = replace(job, timeout=timeout)
        return self._launch(
            job, self.plan(job), cluster_name, key=key, wait_for_gpu=wait_for_gpu, progress=progress
        )

    def retry(
        self,
        job: Job,
        values: Mapping[str, str],
        *,
        wait_for_gpu: float | None = None,
        progress: Progress | None = None,
    ) -> JobStatus:
        """Launch a finished job once more, as it was written down, under a key of its own.

        Args:
            job: The ledger's row of it.
            values: By name, those of its `envs` and `secrets`, which nothing has kept.
            wait_for_gpu: As in `launch`.
            progress: As in `launch`.

        Raises:
            UsageError: It has not ended, another machine launched it, or a value is missing.
            TrebuchetError: As `launch` does.
        """
        from trebuchet.lifecycle.retry import as_written_down  # noqa: PLC0415 - rarely wanted

        config, plan = as_written_down(self._contexts.ledger, job, values)
        status = self._launch(
            config, plan, job.cluster, key=None, wait_for_gpu=wait_for_gpu, progress=progress
        )
        self._contexts.ledger.note(status.key, "retry", {"of": job.key}, at=self._contexts.clock.now())
        return status

    def _launch(
        self,
        job: JobConfig,
        plan: Plan,
        cluster: str | None,
        *,
        key: str | None,
        wait_for_gpu: float | None,
        progress: Progress | None,
    ) -> JobStatus:
        launched = launch.launch(
            self._context,
            job,
            plan,
            cluster=cluster,
            key=key,
            wait_for_gpu=wait_for_gpu,
            progress=progress,
            prices=self.prices(job, plan),
        )
        return self.launched(launched)

    def launched(self, job: Job) -> JobStatus:
        """The status of a job that was launched just now; it is remembered as this client's."""
        status = self.status_of(job)
        self._launched.setdefault(status.cluster, []).append(status.id)
        # All that is known yet is that it exists; whether it runs is for a look-up to tell.
        return status if status.done else replace(status, state=JobState.PENDING)

    def prices(self, job: JobConfig, plan: Plan) -> tuple[float, ...]:
        """US dollars an hour of each candidate, where they are known and wanted.

        Raises:
            LaunchError: They are wanted, and not known.
        """
        if job.max_cost is None:
            return ()
        ours, specs = self._price, plan.candidates
        prices = self._context.engine.prices(specs) if ours is None else list(map(ours, specs))
        if self.cloud != "local" and None in prices:
            raise LaunchError(
                "What this job would cost is not told by Modal's rates, so max_cost cannot be kept.",
                hint="Hand a price function to the launcher, or limit its time: max_duration",
            )
        return tuple(price or 0.0 for price in prices)

    def plan(self, job: JobConfig) -> Plan:
        """What `launch` would ask for.

        Raises:
            PlanError: The job cannot be run as written.
        """
        return self.planner()(job)

    def planner(self) -> Callable[[JobConfig], Plan]:
        """`plan` for many jobs: the machine is looked at once."""
        from trebuchet.plan import make_plan  # noqa: PLC0415 - a status makes no plan

        return partial(
            make_plan,
            cloud=self.cloud,
            cache_volume=self.settings.cache_volume,
            tag_prefix=self.settings.tag_prefix,
            machine=self._machine(),
            here=_here(),
            home=Path.home(),
        )

    def _machine(self) -> Machine | None:
        """What jobs of this cloud have to fit on; None where that is for the control plane to say."""
        return None

    # --- looking

    def find_sandboxes_for_cluster(self, cluster: str) -> list[str]:
        """Ids of a cluster's unfinished sandboxes, by their tag: from any process, on any machine.

        Where the control plane cannot be reached: those that the ledger knows, with a warning.
        """
        try:
            return self._context.engine.find(self._context.tag("cluster", naming.tag_value(cluster)))
        except ClusterUnreachableError as error:
            warnings.warn(f"{error} These are the sandboxes that the ledger knows.", stacklevel=2)
            jobs = self._contexts.ledger.jobs(cloud=self.cloud, cluster=cluster, unfinished=True)
            return [job.sandbox_id for job in jobs if job.sandbox_id is not None]

    def sandboxes_for_cluster(self, cluster: str) -> list[str]:
        """Ids of what this client launched under a cluster's name, oldest first. Makes no call."""
        return list(self._launched.get(cluster, ()))

    def get_call(self, sandbox_id: str) -> Any:
        """The SDK's own handle of a sandbox.

        Raises:
            JobNotFoundError: The control plane does not know it.
        """
        return cast("_SdkSide", self._context.engine).handle(sandbox_id)

    def get_status(self, sandbox_id: str) -> JobStatus:
        """A job, looked up.

        Args:
            sandbox_id: Of any of its attempts, or the job's key.

        Raises:
            JobNotFoundError: There is no such job.
            AuthenticationError: It is another account's.
            ControlPlaneError: The control plane gave no answer.
        """
        job = self.find_job(sandbox_id)
        context = self._contexts.of_job(job)
        if job.end_at is None:
            reconcile.bring_up_to_date(context, job)
        return self.status_of(context.fresh(job))

    def find_job(self, ref: str) -> Job:
        """The ledger's row of a job; one that another ledger launched is written down first.

        Raises:
            JobNotFoundError: There is no such job.
        """
        for key in self._contexts.ledger.resolve(ref, limit=1):
            job = self._contexts.ledger.job(key)
            if job is not None and job.cloud == self.cloud and ref in {key, *self._sandboxes(job)}:
                return job
        job = adopt(self._context, ref)
        if job is None:
            raise JobNotFoundError(f"The sandbox {ref} was not launched by Trebuchet.")
        return job

    def _sandboxes(self, job: Job) -> set[str]:
        return {
            job.sandbox_id or job.key,
            *(one.sandbox_id or "" for one in self._contexts.ledger.attempts(job.key)),
        }

    # --- output and end

    def get_logs_stream(self, sandbox_id: str) -> ModalLogStream:
        """The output of a pending, running or finished job, to its end.

        Raises:
            JobNotFoundError: There is no such job.
        """
        job = self.find_job(sandbox_id)
        return ModalLogStream(self.logs(job, follow=True))

    def logs(
        self,
        job: Job,
        *,
        follow: bool = False,
        since: datetime | None = None,
        tail: int | None = None,
        source: LogSource | None = None,
        attempt: int | None = None,
        cursor: str | None = None,
        tell: Callable[[str], None] | None = None,
    ) -> LogReading:
        """Output of a job, all its attempts one after the other, without the wrapper's own lines.

        What a follower reads from its beginning is archived; what was archived is read from there.

        Args:
            job: Whose.
            follow: Go on until the job has ended and all of its output was given.
            since: Only what was received from then on.
            tail: Only the last so many lines of what there is; with `follow`, and what comes after them.
            source: Only this stream.
            attempt: Only this attempt's; None for all.
            cursor: Go on where an earlier reading stopped.
            tell: Is told what a reader should know: that this comes from the archive, and the like.

        Raises:
            UsageError: The cursor is none.
        """
        # A status reads no log.
        from trebuchet.client.log_reading import LogQuery  # noqa: PLC0415
        from trebuchet.lifecycle.log_chain import LogChain  # noqa: PLC0415

        asked = LogQuery(
            job.key, follow=follow, since=since, tail=tail, source=source, attempt=attempt, cursor=cursor
        )
        chain = LogChain(self._contexts.of_job(job), job.key, follow=follow, tell=tell or silent)
        return asked.read(chain)

    def inside(self, job: Job) -> Inside:
        """A running job from within: commands, a shell, files, ports. Makes no call."""
        from trebuchet.client.inside import Inside  # noqa: PLC0415 - as above

        return Inside(self._contexts.of_job(job), job)

    def outputs(self, job: Job) -> Outputs:
        """What a job wrote to `/outputs`. Makes no call."""
        from trebuchet.client.outputs import Outputs  # noqa: PLC0415 - a status reads no outputs

        return Outputs(self._contexts.of_job(job), job)

    def cancel(self, sandbox_id: str, *, by: str | None = None) -> JobStatus:
        """End a job; one that has ended stays what it was.

        Raises:
            JobNotFoundError: There is no such job.
            ClusterUnreachableError: The wish is written, and the sandbox's end is not yet known.
        """
        job = self.find_job(sandbox_id)
        return self.status_of(cancel.cancel(self._contexts.of_job(job), job, by=by))

    def close(self) -> None:
        """Drop connections. Jobs live on."""
        self._contexts.close()

    # --- within

    @property
    def _context(self) -> Context:
        return self._contexts.of(self.cloud)

    def status_of(self, job: Job, *, stale: str | None = None) -> JobStatus:
        """A row of the ledger as a status. Makes no call.

        Args:
            job: The row.
            stale: Why it could not be looked up just now.
        """
        return status_of(
            job,
            cost_per_hour=self._cost(job),
            stale=stale,
            now=self._contexts.clock.now(),
            # Only a job that went on to another candidate has any, so few rows cost this question.
            tried=tried(self._contexts.ledger.attempts(job.key), job) if job.current.candidate else (),
        )

    def _cost(self, job: Job) -> float | None:
        if self._price is None:
            return None
        candidates = self._contexts.ledger.recipe(job.key).candidates
        return self._price(candidates[job.current.candidate]) if candidates else None


class ModalClient(Client):
    """The primitives on Modal."""

    cloud = "modal"


class LocalClient(Client):
    """The primitives on the local engine: the same client at another address."""

    cloud = "local"

    def _machine(self) -> Machine:
        from trebuchet.client.machine import look_at  # noqa: PLC0415 - a status makes no plan

        return look_at(self._context.engine)


def _here() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError as error:
        raise UsageError(
            "The folder that this was started in is gone.", hint="Change into one that is there."
        ) from error
