"""The next candidate, where the GPU of one was not to be had: an attempt of its own, after that one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from trebuchet.errors import ClusterUnreachableError, JobNotFoundError
from trebuchet.lifecycle import create
from trebuchet.lifecycle.again import NO_DEADLINE
from trebuchet.lifecycle.intent import make_attempt
from trebuchet.lifecycle.observe import launch_failed
from trebuchet.status import JobState, Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trebuchet.errors import CapacityError
    from trebuchet.ledger import Attempt, Job
    from trebuchet.lifecycle.context import Context

_PAUSES_S = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Between looks whether an abandoned sandbox has gone; what waits in a queue goes at once."""


def begin_next(context: Context, job: Job, why: CapacityError) -> bool:
    """Give a candidate up for the next one; False where there is none, or somebody else was first.

    It is written down before anything is ended, so that whoever comes next, after a crash say, goes on.
    """
    number, following = job.current.number + 1, job.current.candidate + 1
    candidates = context.ledger.recipe(job.key).candidates
    if job.cancel_at is not None or following >= len(candidates):
        return False
    gpu = candidates[following].gpu
    successor = replace(
        job,
        current=make_attempt(job.key, number, name=job.name, candidate=following, gpu=gpu, claim=None),
        state=JobState.PENDING,
        waiting_for=None if gpu is None else f"a GPU ({gpu}), since no {job.current.gpu} was to be had",
        launch_until=NO_DEADLINE,
        again_at=None,
    )
    had_none = f"no GPU ({job.current.gpu}) to be had"
    return context.ledger.again(
        job.current, launch_failed(why), successor, why=had_none, at=context.clock.now()
    )


def end_abandoned(context: Context, job: Job) -> None:
    """Ask for the end of what waits for the GPU of an earlier candidate; does not wait for it."""
    for attempt in _abandoned(context, job):
        create.end_whatever_exists(context, attempt)


def clear_the_way(context: Context, job: Job) -> None:
    """See that nothing of an earlier candidate is left, so that there is never a second sandbox of a job.

    Raises:
        ClusterUnreachableError: That could not be made sure.
    """
    for attempt in _abandoned(context, job):
        for pause in _PAUSES_S:
            if _is_gone(context, attempt):
                break
            create.end_whatever_exists(context, attempt)
            context.clock.sleep(pause)
        else:
            raise ClusterUnreachableError(
                f"The sandbox of {job.name} that waited for {attempt.gpu} is not known to have ended."
            )


def tried(attempts: Sequence[Attempt], job: Job) -> list[str]:
    """The GPUs that were asked for in vain before the one of the newest attempt."""
    return [one.gpu for one in attempts if one.gpu is not None and _in_vain(one, job)]


def _abandoned(context: Context, job: Job) -> list[Attempt]:
    return [one for one in context.ledger.attempts(job.key) if _in_vain(one, job)]


def _in_vain(attempt: Attempt, job: Job) -> bool:
    return attempt.number < job.current.number and attempt.reason is Reason.LAUNCH_FAILED


def _is_gone(context: Context, attempt: Attempt) -> bool:
    if context.engine.find(context.tag("launch", attempt.launch_tag)):
        return False
    if attempt.sandbox_id is None:
        return True
    try:
        return context.engine.poll(attempt.sandbox_id).state.is_final
    except JobNotFoundError:
        return True
