"""The job's scripts as a command, and what cannot travel in one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trebuchet.plan.script import bind_launch, oversize, script_argv

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trebuchet.job import JobConfig
    from trebuchet.plan.findings import Findings
    from trebuchet.plan.uploads import GitSource

_LONGEST_KEY = "x" * 64


def command(
    job: JobConfig, git: GitSource | None, variables: Mapping[str, str], findings: Findings
) -> tuple[str, ...]:
    """The argv of a sandbox, before the facts of a launch are added."""
    findings.translated("setup", "run")
    if not job.run.strip():
        findings.refused("run", "it is empty", "write the script that is the job")
    for field, script in (("setup", job.setup or ""), ("run", job.run)):
        if fault := _fault(script):
            findings.refused(field, fault, "take it out")
    argv = script_argv(job)
    if git is not None:
        argv = (*argv, f"clone={git.url}", *([f"ref={git.ref}"] if git.ref else []))
    if findings.refusals:
        return argv
    if fault := oversize(bind_launch(argv, nonce=_LONGEST_KEY, attempt=1, variables=variables)):
        findings.refused("run", f"{fault}", "put the long part into a file of the work dir, and call it")
    return argv


def _fault(script: str) -> str | None:
    if "\0" in script:
        return "it holds a NUL byte, which no program can be given"
    try:
        script.encode()
    except UnicodeEncodeError:
        return "it holds a character that is not valid text"
    return None
