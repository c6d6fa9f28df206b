"""The job's scripts as a command; those too long for one, as files beside it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trebuchet.job import WHOLE
from trebuchet.plan.environment import tool_variables
from trebuchet.plan.script import bind_launch, file_argv, oversize, script_argv

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trebuchet.job import JobConfig
    from trebuchet.plan.findings import Findings
    from trebuchet.plan.uploads import GitSource

_WRITE_ONE = "write the script that is the job, under run"
_LONGEST_KEY = "x" * 64
_LONGEST_TIME_S = 10_000_000


@dataclass(frozen=True, slots=True)
class Command:
    """What a sandbox runs.

    Attributes:
        argv: Before the facts of a launch are added.
        scripts: The texts that `argv` names by their places.
    """

    argv: tuple[str, ...]
    scripts: Mapping[str, str] = field(default_factory=dict[str, str])


def command(
    job: JobConfig,
    git: GitSource | None,
    findings: Findings,
    *,
    folders: Sequence[str] = (),
    mounts: Sequence[str] = (),
) -> Command:
    """The command of a sandbox.

    Args:
        job: Whose scripts.
        git: The repository that the work dir is cloned from.
        folders: Made before the scripts start.
        mounts: Where volumes and buckets are, which a clone leaves alone.
        findings: Where what is wrong is said.
    """
    findings.translated("setup", "run")
    if not job.dialect_told and (job.setup or "").strip() and job.run.strip():
        findings.noted(
            "setup",
            "is read as Oumi's: run goes on in its shell, and the first command that fails ends the job",
            "the file could also be SkyPilot's; --dialect skypilot reads it so",
        )
    _require_script(job, findings)
    for name, script in (("setup", job.setup or ""), ("run", job.run)):
        if fault := _fault(script):
            findings.refused(name, fault, "take it out")
    facts = [f"folder:{folder}" for folder in folders]
    if git is not None:
        facts += [f"clone={git.url}", *([f"ref={git.ref}"] if git.ref else [])]
        facts += [f"mounted:{mount.rstrip('/')}" for mount in mounts]
    argv = (*script_argv(job), *facts)
    if findings.refusals or _as_launched(job, argv) is None:
        return Command(argv)
    argv, scripts = file_argv(job)
    argv = (*argv, *facts)
    if fault := _as_launched(job, argv):
        findings.refused("run", fault, "shorten the paths and names that the job lists")
    return Command(argv, scripts)


def _require_script(job: JobConfig, findings: Findings) -> None:
    if job.run.strip():
        return
    if (job.setup or "").strip():
        findings.noted("run", "there is none", "the job is its setup")
    elif WHOLE in job.positions and "run" not in job.positions:
        findings.refused(WHOLE, "There is neither a run nor a setup script", _WRITE_ONE)
    else:
        findings.refused("run", "it is empty", _WRITE_ONE)


def _as_launched(job: JobConfig, argv: tuple[str, ...]) -> str | None:
    """Why a command is too long once all is added that a launch can add; None where it is not."""
    return oversize(
        bind_launch(
            argv,
            nonce=_LONGEST_KEY,
            attempt=_LONGEST_TIME_S,
            variables={**tool_variables(None), "SKYPILOT_TASK_ID": _LONGEST_KEY, "TREBUCHET_RESUME": "1"},
            outputs=_LONGEST_KEY,
            keep=job.outputs or (),
            limit_s=_LONGEST_TIME_S,
            grace_s=_LONGEST_TIME_S,
        )
    )


def _fault(script: str) -> str | None:
    if "\0" in script:
        return "it holds a NUL byte, which no program can be given"
    try:
        script.encode()
    except UnicodeEncodeError:
        return "it holds a character that is not valid text"
    return None
