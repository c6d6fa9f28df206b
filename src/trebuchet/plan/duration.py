"""How long, how often and for how much a job may run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trebuchet.errors import shown

if TYPE_CHECKING:
    from trebuchet.job import JobConfig
    from trebuchet.plan.findings import Findings

LONGEST_S = 86_400
"""A sandbox's longest life."""

_MOST_RESTARTS = 1_000


def timeout_s(job: JobConfig, findings: Findings) -> int:
    """Seconds that the first sandbox gets at most."""
    findings.translated("timeout", "max_duration", "max_cost")
    if job.timeout is not None and job.timeout > LONGEST_S:
        links = -(-job.timeout // LONGEST_S)
        findings.noted(
            "timeout",
            f"becomes a chain of at least {links} sandboxes: before its 24h are over the job gets SIGTERM, "
            "and is run again with TREBUCHET_RESUME=1 on the same volumes",
            "a sandbox lives 24h at most; a keeper on this machine begins the next one, or, where none runs, "
            "the next command, late",
        )
    if job.timeout is not None and job.timeout < 1:
        findings.refused("timeout", "it is less than a second", "write 90m or 24h")
    if job.max_cost is not None and job.max_cost <= 0:
        findings.refused("max_cost", "it leaves nothing to spend", "write US dollars, like 20")
    limits = [limit for limit in (job.timeout, job.max_duration) if limit is not None and limit > 0]
    return min([*limits, LONGEST_S])


def restarts(job: JobConfig, findings: Findings) -> None:
    """Check the restart policy, which is the launcher's to follow."""
    findings.translated("max_restarts", "restart_on")
    if not 0 <= job.max_restarts <= _MOST_RESTARTS:
        findings.refused("max_restarts", f"{job.max_restarts} is not between 0 and {_MOST_RESTARTS}")
    for reason in job.restart_on:
        if isinstance(reason, int) and not isinstance(reason, bool) and 1 <= reason <= 255:
            continue
        if reason not in {"preempted", "failure"}:
            findings.refused(
                "restart_on",
                f"{shown(reason)} is no reason",
                "preempted, failure, or exit codes from 1 to 255",
            )
    asked = job.positions.get("max_restarts")
    if asked is not None and asked.key.endswith(("job_recovery", "spot_recovery", "strategy")):
        done = f"starts the job again at most {job.max_restarts} times"
        findings.noted("restart_on", done, "an end to it keeps a broken job from running for ever")
    if job.restart_on and not job.max_restarts:
        findings.noted("restart_on", "has no effect", "max_restarts allows no restart")
