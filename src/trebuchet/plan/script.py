"""The command of a sandbox: the job's scripts as arguments of their own, behind a small wrapper of ours."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trebuchet.job import JobConfig

WORK_DIR = "/root/sky_workdir"
"""Where scripts of both dialects start; SkyPilot's place, which scripts name."""

SCRIPT_PLACE = "/root/.trebuchet"
"""Where scripts arrive that are too long for arguments."""

ARGV_CHARACTERS = 65_536
"""All arguments of a sandbox together, in characters (the SDK's limit, `ARG_MAX_BYTES`)."""

ARGUMENT_BYTES = 131_071
"""One argument, in bytes without its end (the kernel's limit, `MAX_ARG_STRLEN`, is 131,072 with it)."""


@cache
def _part(name: str) -> str:
    return files("trebuchet.plan").joinpath(name).read_text(encoding="utf-8")


def script_argv(job: JobConfig) -> tuple[str, ...]:
    """The command that runs a job's scripts, before the facts of a launch are added."""
    return _command(job, job.setup or "", job.run)


def file_argv(job: JobConfig) -> tuple[tuple[str, ...], dict[str, str]]:
    """The same for scripts that are too long for arguments: the command, and the files it reads them from."""
    scripts = {"setup": job.setup, "run": job.run}
    files = {f"{SCRIPT_PLACE}/{name}": text for name, text in scripts.items() if text}
    facts = [f"{name}-file={SCRIPT_PLACE}/{name}" for name, text in scripts.items() if text]
    return (*_command(job, "", ""), *facts), files


def _command(job: JobConfig, setup: str, run: str) -> tuple[str, ...]:
    wrapper, sudo = _part("wrapper.sh"), _part("sudo.sh")
    return (
        *("bash", "-c", wrapper, "trebuchet", job.dialect, setup, run),
        *(f"sudo={sudo}", f"workdir={WORK_DIR}"),
        *(["home=own"] if "HOME" in {*job.envs, *job.secrets} else []),
    )


def bind_launch(
    argv: tuple[str, ...],
    *,
    nonce: str,
    attempt: int,
    variables: Mapping[str, str],
    outputs: str | None = None,
    keep: Sequence[str] = (),
    limit_s: int | None = None,
    grace_s: int = 30,
) -> tuple[str, ...]:
    """Add what is known only at a launch.

    Args:
        argv: From `script_argv`.
        nonce: Marks the wrapper's own lines; see `markers`.
        attempt: Counted from 1; the job sees it as `TREBUCHET_ATTEMPT`.
        variables: Public variables for the job; no secrets, since arguments can be read by anyone.
        outputs: The folder that outlives the sandbox; the job sees it as `TREBUCHET_OUTPUTS`. None for none.
        keep: Paths copied to `outputs` when the scripts end; relative ones start in the work dir.
        limit_s: Seconds after which the scripts get SIGTERM, to make room for a successor; None for never.
        grace_s: Seconds from that SIGTERM to SIGKILL.
    """
    exported = {**variables, "TREBUCHET_ATTEMPT": str(attempt)}
    facts = [f"nonce={nonce}"]
    if outputs is not None:
        exported["TREBUCHET_OUTPUTS"] = outputs
        facts += [f"outputs={outputs}", *(f"keep:{path}" for path in keep)]
    if limit_s is not None:
        facts += [f"limit={limit_s}", f"grace={grace_s}"]
    return (*argv, *facts, *(f"export:{name}={value}" for name, value in exported.items()))


def oversize(argv: tuple[str, ...]) -> str | None:
    """Why a command is too long to be started, in words, or None where it is not.

    The SDK counts characters; the kernel counts bytes, and only once the sandbox starts.
    """
    characters = sum(map(len, argv))
    if characters > ARGV_CHARACTERS:
        return f"its command comes to {characters:,} characters; {ARGV_CHARACTERS:,} can be passed"
    longest = max(len(argument.encode()) for argument in argv)
    if longest > ARGUMENT_BYTES:
        return f"one argument comes to {longest:,} bytes; {ARGUMENT_BYTES:,} can be passed"
    return None
