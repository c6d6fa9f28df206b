"""What is to be kept of a job beside what it writes to `/outputs` itself."""

from __future__ import annotations

import posixpath
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from trebuchet.plan.places import HOME, within
from trebuchet.plan.script import WORK_DIR

if TYPE_CHECKING:
    from trebuchet.job import JobConfig
    from trebuchet.plan.findings import Findings

_PLACE = "/outputs"
_MADE_BY_KERNEL = ("/proc", "/sys", "/dev")


def outputs(job: JobConfig, findings: Findings) -> None:
    """Look whether each path of `outputs` has a name of its own there."""
    findings.translated("outputs")
    taken = dict[str, str]()
    for path in job.outputs or ():
        name = PurePosixPath(path or "").name
        if not (path and path.strip()):
            findings.refused("outputs", "a path among them is empty", "take it out")
        elif (fault := _unfit(path)) is not None:
            findings.refused("outputs", *fault)
        elif (other := taken.setdefault(name, path)) != path and name:
            findings.refused(
                "outputs",
                f"{other} and {path} would both become /outputs/{name}",
                "list the folders that they are in, or let the script copy them to /outputs",
            )


def _unfit(path: str) -> tuple[str, str] | None:
    """Why a path cannot be copied to the outputs, and what to do instead; None where it can."""
    whole = f"{HOME}/{path[2:]}" if path.startswith("~/") else posixpath.join(WORK_DIR, path)
    place = "/" + posixpath.normpath(whole).lstrip("/")
    for folder in _MADE_BY_KERNEL:
        if within(place, folder):
            return f"{path} is the kernel's, and no file to keep", "let the script copy what it needs of it"
    if within(place, _PLACE):
        return f"{path} is where outputs are, and stays anyway", "take it out"
    if within(_PLACE, place):
        return f"{path} holds all of the system, /outputs too", "list the folders in it that are to be kept"
    return None
