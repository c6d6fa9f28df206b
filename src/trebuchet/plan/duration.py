"""How long and for how much a job may run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trebuchet.job import JobConfig
    from trebuchet.plan.findings import Findings

LONGEST_S = 86_400
"""A sandbox's longest life."""


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
