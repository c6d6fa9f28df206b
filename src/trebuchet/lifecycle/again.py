"""Whether another attempt follows the end of one: a restart, or the next link of a chain."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from trebuchet.lifecycle.budget import budget
from trebuchet.lifecycle.intent import make_attempt
from trebuchet.lifecycle.policy import Policy
from trebuchet.status import JobState, Reason

if TYPE_CHECKING:
    from trebuchet.ledger import Job, Outcome
    from trebuchet.lifecycle.context import Context

NO_DEADLINE = math.inf
"""A job that goes on is begun again by whoever comes next, however late that is."""

_LONGEST_PAUSE_S = 300.0


def begin_another(context: Context, job: Job, outcome: Outcome, *, at: float) -> bool:
    """Write an attempt's end down, and the next attempt; False where the job ends with this one."""
    if outcome.cut and job.cancel_at is None and is_foreign(context, job):
        successor = _successor(job, outcome, restarts=job.restarts, not_before=at)
        return context.ledger.again(job.current, outcome, successor, why=_why(outcome), at=at)
    if not job.watched or job.cancel_at is not None:
        return False
    recipe = context.ledger.recipe(job.key)
    ended = replace(job.current, end_at=at)
    earlier = [one for one in context.ledger.attempts(job.key) if one.number < ended.number]
    left = budget(recipe, ended.candidate, [*earlier, ended], longest_s=context.settings.longest_s)
    if left.spent:
        return False
    handed_over = left.chains and (outcome.cut or outcome.reason is Reason.TIMEOUT)
    policy = Policy.of(recipe.config)
    if not handed_over and not policy.allows(outcome, job.restarts, earlier):
        return False
    pause = 0.0 if handed_over else pause_before(job.restarts, first_s=context.settings.restart_pause_s)
    successor = _successor(job, outcome, restarts=job.restarts + (not handed_over), not_before=at + pause)
    return context.ledger.again(job.current, outcome, successor, why=_why(outcome), at=at)


def pause_before(restarts: int, *, first_s: float) -> float:
    """Seconds to wait before a job that was started again so often is started once more."""
    return min(first_s * 2 ** min(restarts, 16), max(_LONGEST_PAUSE_S, first_s))


def _successor(job: Job, outcome: Outcome, *, restarts: int, not_before: float) -> Job:
    number = job.current.number + 1
    when = datetime.fromtimestamp(not_before, tz=UTC).isoformat(timespec="seconds")
    return replace(
        job,
        current=make_attempt(
            job.key,
            number,
            name=job.name,
            candidate=job.current.candidate,
            gpu=job.current.gpu,
            claim=None,
        ),
        state=JobState.PENDING,
        waiting_for=f"attempt {number}, not before {when}, since the one before ended ({_why(outcome)})",
        launch_until=NO_DEADLINE,
        again_at=not_before,
        restarts=restarts,
    )


def _why(outcome: Outcome) -> str:
    if outcome.cut:
        return "time limit of a sandbox"
    if outcome.reason in {Reason.EXIT, None}:
        return f"exit code {outcome.exit_code}"
    return str(outcome.reason).replace("_", " ")


def is_due(job: Job, now: float) -> bool:
    """Whether the newest attempt may be begun."""
    return job.again_at is None or now >= job.again_at


def is_foreign(context: Context, job: Job) -> bool:
    """Whether another ledger launched the job, so that only that one can begin another attempt."""
    return not context.ledger.recipe(job.key).candidates


def follow(context: Context, job: Job) -> None:
    """See whether the ledger that launched a job has begun its next attempt."""
    found = context.engine.find(context.tag("launch", job.current.launch_tag))
    if found:
        context.found_id(job.current, found[0])
