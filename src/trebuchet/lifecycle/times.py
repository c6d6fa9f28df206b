"""When an attempt began and ended, as far as its log, which a job can write to, is to be believed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trebuchet.status import Reason

if TYPE_CHECKING:
    from trebuchet.ledger import Job, Outcome

_SKEW_S = 300.0
"""How far the clock of a sandbox may be off."""

_LONGEST_LIFE_S = 86_400.0


def possible_beginning(job: Job, began_at: float | None, *, ended_at: float) -> float | None:
    """When an attempt began, as its log says; None where that cannot be, for anybody may write there.

    When the sandbox of another ledger's job was asked for is not known, only how long one lives at most.
    """
    if began_at is None:
        return None
    # Such a job's row says that it was asked for when it was launched: both times are those of its adoption.
    asked = job.current.asked_at if job.submit_time != job.current.asked_at else None
    earliest = (ended_at - _LONGEST_LIFE_S if asked is None else asked) - _SKEW_S
    return min(began_at, ended_at) if earliest <= began_at <= ended_at + _SKEW_S else None


def when_ended(job: Job, outcome: Outcome, now: float) -> float:
    """What the log tells, as far as the clocks of this machine and the control plane's allow it.

    For one that ran out of time: when that was over, as nobody may have looked for long after.
    """
    attempt, ended = job.current, outcome.ended_at
    began = max(filter(None, (job.start_at, attempt.created_at)), default=None)
    limit = attempt.allotted_s if outcome.reason is Reason.TIMEOUT else None
    if ended is None and began is not None and limit is not None:
        ended = began + limit
    return now if ended is None else min(now, max(ended, began or ended))
