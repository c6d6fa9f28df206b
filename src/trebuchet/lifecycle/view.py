"""A row of the ledger as the `JobStatus` that people and programs see."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from trebuchet.status import JobState, JobStatus

if TYPE_CHECKING:
    from trebuchet.ledger import Job


def status_of(
    job: Job,
    *,
    cost_per_hour: float | None = None,
    stale: str | None = None,
    now: float | None = None,
) -> JobStatus:
    """The job as last seen.

    Args:
        job: From the ledger.
        cost_per_hour: Where a price function told.
        stale: Why it could not be looked up just now; None where it was, or need not be.
        now: Seconds since the epoch, for the age of a stale state.
    """
    identifier = job.sandbox_id or job.key
    return JobStatus(
        name=job.name,
        id=identifier,
        cluster=job.cluster if job.cluster is not None else identifier,
        state=job.state,
        metadata=json.dumps(_metadata(job, stale, now)),
        key=job.key,
        reason=job.reason,
        exit_code=job.exit_code,
        phase=job.phase,
        attempt=job.current.number - (job.current.asked_at is None and job.sandbox_id is None),
        cost_per_hour=cost_per_hour,
        submit_time=job.submit_time,
        start_at=job.start_at,
        end_at=job.end_at,
    )


def _metadata(job: Job, stale: str | None, now: float | None) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "cloud": job.cloud,
        "app": job.app,
        "gpu": job.current.gpu,
        "dashboard": job.current.dashboard,
        "git_commit": job.git_commit,
        "git_dirty": job.git_dirty,
    }
    if job.state is JobState.PENDING:
        facts["waiting_for"] = job.waiting_for
    if job.cost is not None:
        facts["cost"] = round(job.cost, 4)
    if job.restarts:
        facts["restarts"] = job.restarts
    if job.cancel_at is not None:
        facts |= {"cancelled_by": job.cancel_by, "cancelled_at": _text(job.cancel_at)}
    if job.failure is not None:
        facts |= {"message": job.failure.get("message"), "hint": job.failure.get("hint")}
    if stale is not None:
        age = None if job.seen_at is None or now is None else round(now - job.seen_at, 1)
        facts |= {"stale_why": stale, "stale_s": age}
    return {name: value for name, value in facts.items() if value is not None}


def _text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, tz=UTC).isoformat(timespec="seconds")
