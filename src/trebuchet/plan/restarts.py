"""How often, and for what, a job is started again; the launcher follows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trebuchet.errors import shown
from trebuchet.plan.model import Restarts

if TYPE_CHECKING:
    from trebuchet.job import JobConfig
    from trebuchet.plan.findings import Findings

_MOST = 1_000
_FOR_ANYTHING = ("preempted", "failure")
_CODES = "restart_on.recover_on_exit_codes"
_WHY_AN_END = "an end to it keeps a broken job from running for ever"


def restarts(job: JobConfig, findings: Findings) -> Restarts | None:
    """The restart policy of a job; None where it allows no restart."""
    findings.translated("max_restarts", "restart_on", "max_restarts_on_errors")
    for field, number in (
        ("max_restarts", job.max_restarts),
        ("max_restarts_on_errors", job.max_restarts_on_errors or 0),
    ):
        if not 0 <= number <= _MOST:
            findings.refused(field, f"{number} is not between 0 and {_MOST}")
    for reason in job.restart_on:
        if isinstance(reason, int) and not isinstance(reason, bool) and 1 <= reason <= 255:
            continue
        if reason not in _FOR_ANYTHING:
            findings.refused(
                _CODES if _CODES in job.positions else "restart_on",
                f"{shown(reason)} is no reason",
                "preempted, failure, or exit codes from 1 to 255",
            )
    _of_another_launcher(job, findings)
    if job.restart_on and not job.max_restarts:
        findings.noted("restart_on", "has no effect", "max_restarts allows no restart")
    if not job.max_restarts:
        return None
    return Restarts(
        on=tuple(job.restart_on) or _FOR_ANYTHING,
        most=job.max_restarts,
        most_on_errors=job.max_restarts_on_errors,
    )


def _of_another_launcher(job: JobConfig, findings: Findings) -> None:
    """Say what becomes of SkyPilot's recovery, which has no end there, and of settings of its strategies."""
    asked = job.positions.get("max_restarts")
    if asked is None or "_recovery" not in asked.key:
        return
    if "preempted" in job.restart_on:
        done = f"a preempted job is started again at most {job.max_restarts} times"
        findings.noted("restart_on", done, _WHY_AN_END)
    for field in job.positions:
        if field == _CODES:
            together = ", preemptions counted" if "preempted" in job.restart_on else ""
            done = f"start the job again at most {job.max_restarts} times{together}"
            findings.noted(field, done, _WHY_AN_END)
        elif field.startswith("restart_on.") and field.count(".") == 1:
            findings.noted(field, "is not used", "it belongs to a strategy of another launcher")
