"""What finished jobs have cost, as the control plane itself reckons it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trebuchet.errors import ControlPlaneError, MachineError

if TYPE_CHECKING:
    from trebuchet.ledger import Job
    from trebuchet.lifecycle.context import Context

SETTLED_AFTER_S = 1_800.0
"""The service's figures come minutes late: what it says so long after a job's end holds."""

GIVEN_UP_AFTER_S = 30 * 86_400.0
"""Of an older job it is not asked any more."""


def learn_cost(context: Context, job: Job) -> None:
    """Ask what an ended job has cost, all attempts together, and write it down, unless that is settled.

    Nothing is written where the control plane does not know it of every attempt, or cannot be asked.
    """
    if job.end_at is None or not context.engine.knows_costs or _is_settled(context, job):
        return
    if not context.sees(job):
        return
    sandboxes = [one.sandbox_id for one in context.ledger.attempts(job.key) if one.sandbox_id is not None]
    total = 0.0
    for sandbox_id in sandboxes:
        try:
            cost = context.engine.cost(sandbox_id)
        except (ControlPlaneError, MachineError):
            return
        if cost is None:
            return
        total += cost
    if sandboxes:
        context.ledger.cost(job.key, total, at=context.clock.now())


def _is_settled(context: Context, job: Job) -> bool:
    assert job.end_at is not None  # noqa: S101 - for the type checker; the caller has looked
    if context.clock.now() - job.end_at > GIVEN_UP_AFTER_S:
        return True
    return job.cost_at is not None and job.cost_at - job.end_at >= SETTLED_AFTER_S
