"""The cloud, and what only other clouds have."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from trebuchet.errors import shown
from trebuchet.sandbox import CLOUDS

if TYPE_CHECKING:
    from trebuchet.job import JobConfig
    from trebuchet.plan.alternatives import Alternative
    from trebuchet.plan.findings import Findings

_RENTABLE = frozenset(
    {
        "*", "aws", "azure", "cloudflare", "coreweave", "cudo", "do", "docker", "fluidstack", "gcp",
        "hyperbolic", "hyperstack", "ibm", "k8s", "kubernetes", "lambda", "lambda_cloud", "mithril",
        "nebius", "novita", "oci", "paperspace", "primeintellect", "runpod", "scp", "seeweb", "shadeform",
        "ssh", "together", "vast", "verda", "vsphere", "yotta",
    }
)  # fmt: skip
_BATCH = frozenset({"polaris", "frontier", "perlmutter", "slurm", "alcf", "nersc"})
_CHOOSE = "say where to run it instead: --cloud modal or --cloud local"
_FIELD = "resources.cloud"
_IN_FILE = "written_for"
"""Where the file's own cloud stands, if another one was asked for on the command line."""


def cloud_named(job: JobConfig, chosen: str, findings: Findings) -> None:
    """Say what becomes of the cloud that the file names.

    Args:
        job: Its `resources.cloud` may name another than the chosen one: then somebody chose.
        chosen: Where the job is to run.
        findings: Takes what is said.
    """
    findings.translated(_FIELD)
    if chosen not in CLOUDS:
        findings.refused(_FIELD, *_unfit(chosen))
        return
    named = job.written_for or job.resources.cloud
    if named is None or named == chosen:
        return
    field = _IN_FILE if _IN_FILE in job.positions else _FIELD
    if named.lower() in _BATCH:
        findings.refused(field, *_unfit(named))
    elif named.lower() in _RENTABLE or named in CLOUDS:
        findings.noted(_FIELD, f"{named} is replaced by {chosen}", "that is where it was asked to run")
    else:
        findings.refused(field, *_unfit(named))


def alternative_cloud(job: JobConfig, wanted: Alternative, chosen: str, findings: Findings) -> None:
    """Say what becomes of a cloud that one alternative names for itself."""
    field, named = wanted.place("cloud"), wanted.get("cloud")
    if field == _FIELD:
        return
    findings.translated(field)
    if named is None or named == chosen:
        return
    if named in CLOUDS:
        findings.refused(field, f"this alternative is for {named}, and the job runs on {chosen}")
    elif named.lower() in _RENTABLE and job.resources.cloud in CLOUDS:
        findings.noted(field, f"{named} is replaced by {chosen}", "that is where it was asked to run")
    else:
        findings.refused(field, *_unfit(named))


def _unfit(named: str) -> tuple[str, str]:
    if named.lower() in _BATCH:
        return (
            f"{named} is run by a batch system, and its scripts need PBS or Slurm",
            "write a job file without their commands",
        )
    if named.lower() in _RENTABLE:
        return f"{named} is none of Trebuchet's clouds", _CHOOSE
    close = difflib.get_close_matches(named.lower()[:40], CLOUDS, n=1)
    hint = f"did you mean {close[0]}?" if close else _CHOOSE
    return f"there is no cloud {shown(named)}", hint
