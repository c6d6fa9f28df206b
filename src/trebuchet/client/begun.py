"""The sandbox of a job that runs: nobody can enter one that waits for its turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trebuchet.errors import JobNotFoundError
from trebuchet.lifecycle import reconcile
from trebuchet.status import JobState

if TYPE_CHECKING:
    from trebuchet.ledger import Job
    from trebuchet.lifecycle.context import Context


def sandbox_of(context: Context, job: Job) -> str:
    """The id of a job's sandbox that runs or is being started; one that was pending is looked up first.

    Raises:
        JobNotFoundError: It does not run: it has ended, or waits for something.
        AuthenticationError: It is another account's.
        ClusterUnreachableError: What it does could not be learnt.
    """
    if job.end_at is None and job.state is JobState.PENDING:
        job = _looked_up(context, job)
    if job.end_at is not None:
        raise JobNotFoundError(
            f"{job.name} ({job.key}) does not run.",
            hint=f"What it left: trebuchet logs {job.key}, trebuchet outputs {job.key}",
        )
    if job.sandbox_id is None or job.state is JobState.PENDING:
        raise JobNotFoundError(
            f"{job.name} ({job.key}) does not run yet: it waits for {job.waiting_for or 'its sandbox'}.",
            hint=f"What it waits for, and when it runs: trebuchet logs -f {job.key}",
        )
    return job.sandbox_id


def _looked_up(context: Context, job: Job) -> Job:
    reconcile.bring_up_to_date(context, job)
    return context.fresh(job)
