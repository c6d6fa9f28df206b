"""What is to be kept of a job beside what it writes to `/outputs` itself."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trebuchet.job import JobConfig
    from trebuchet.plan.findings import Findings


def outputs(job: JobConfig, findings: Findings) -> None:
    """Look whether each path of `outputs` has a name of its own there."""
    findings.translated("outputs")
    taken = dict[str, str]()
    for path in job.outputs or ():
        name = PurePosixPath(path or "").name
        if not (path and path.strip()):
            findings.refused("outputs", "a path among them is empty", "take it out")
        elif (other := taken.setdefault(name, path)) != path and name:
            findings.refused(
                "outputs",
                f"{other} and {path} would both become /outputs/{name}",
                "list the folders that they are in, or let the script copy them to /outputs",
            )
