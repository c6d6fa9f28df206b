"""Ending a job: the wish is written first, so that it comes true even if this process is not there for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trebuchet.lifecycle import create, observe, reconcile
from trebuchet.lifecycle.context import whoami

if TYPE_CHECKING:
    from trebuchet.ledger import Job
    from trebuchet.lifecycle.context import Context

_PAUSES_S = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


def want_end(context: Context, job: Job, *, by: str | None = None) -> None:
    """Write the wish for a job's end. Of a job of this account's nothing is asked.

    Raises:
        AuthenticationError: It is another account's; nothing is written.
    """
    context.require_sight_of(job)
    context.ledger.want_cancel(job.key, by=by or whoami(), at=context.clock.now())


def cancel(context: Context, job: Job, *, patience_s: float = 30.0, by: str | None = None) -> Job:
    """End a job and see it end; gives it as it is after `patience_s` at the latest.

    Raises:
        AuthenticationError: It is another account's; no wish is written.
        ControlPlaneError: The wish is written, and the sandbox's end is not yet known.
    """
    if job.end_at is not None:
        return job
    want_end(context, job, by=by)
    _ask_for_end(context, context.fresh(job))
    return see_end(context, job, patience_s=patience_s)


def see_end(context: Context, job: Job, *, patience_s: float) -> Job:
    """Look a job that shall end up until it has, or patience runs out.

    Raises:
        AuthenticationError: It is another account's.
        ControlPlaneError: There was no answer.
    """
    context.require_sight_of(job)
    deadline = context.clock.now() + patience_s
    for turn in range(1_000_000):
        job = context.fresh(job)
        if job.end_at is None:
            _look(context, job)
            job = context.fresh(job)
        if job.end_at is not None or context.clock.now() >= deadline:
            break
        context.clock.sleep(_PAUSES_S[min(turn, len(_PAUSES_S) - 1)])
    return job


def _ask_for_end(context: Context, job: Job) -> None:
    if job.sandbox_id is not None:
        create.terminate(context, job.sandbox_id)
    elif job.current.asked_at is not None:
        create.end_whatever_exists(context, job.current)


def _look(context: Context, job: Job) -> None:
    if job.sandbox_id is not None:
        reconcile.look_at(context, job)
    elif job.current.asked_at is None and job.current.claim is None:
        reconcile.end(context, job, observe.cancelled(job))
    else:
        # Somebody may be creating it at this moment: they look for the wish when they are done.
        create.end_whatever_exists(context, job.current)
        reconcile.finish_launch(context, context.fresh(job))
