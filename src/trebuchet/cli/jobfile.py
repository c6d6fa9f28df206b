"""From a command line to a job: the options that every verb with a job file takes, and what they do to it."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from trebuchet.cli.numbers import WholeNumber
from trebuchet.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from trebuchet.job import Dialect, JobConfig

Function = TypeVar("Function", bound="Callable[..., Any]")


_STDIN = "<stdin>"


def length_of_time(text: str) -> int:
    """A length of time on the command line, in seconds, as job files write it.

    Raises:
        BadParameter: It is none, or shorter than a second.
    """
    from trebuchet.files.durations import parse_duration  # noqa: PLC0415 - its package brings yaml

    seconds = parse_duration(text)
    if seconds is None:
        raise click.BadParameter(f"{text!r} is not a length of time of a second or more, like 90, 30m or 2h.")
    return seconds


@dataclass(frozen=True, kw_only=True)
class JobOptions:
    """What the command line asks for beyond the job file.

    Attributes:
        cloud: `modal` or `local`; None for the file's own.
        gpus: As `resources.accelerators` writes it; None for the file's own.
        name: None for the file's own.
        timeout: Seconds; None for the file's own.
        num_nodes: None for the file's own.
        env: Each `NAME=VALUE`, or `NAME` for the caller's own value. Never shown: values are secret.
        secret: Likewise.
        env_file: What the files of such lines say.
        dialect: How to read the file; None to tell by its fields.
        task: Which of several tasks in the file; None where there is one.
        as_task: Whether to run the `run` of a service as a job.
    """

    cloud: str | None = None
    gpus: str | None = None
    name: str | None = None
    timeout: int | None = None
    num_nodes: int | None = None
    env: tuple[str, ...] = ()
    secret: tuple[str, ...] = ()
    env_file: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    dialect: Dialect | None = None
    task: str | None = None
    as_task: bool = False


JOB_OPTIONS = tuple(each.name for each in fields(JobOptions))


def _read_env_files(
    ctx: click.Context, _parameter: click.Parameter, files: tuple[Path, ...]
) -> dict[str, str]:
    """What all of them say. Read here, since one may be a pipe, and be wanted for several job files."""
    found: dict[str, str] = {}
    if files and not ctx.resilient_parsing:
        from trebuchet.files import read_env_file  # noqa: PLC0415 - brings yaml

        for file in files:
            found.update(read_env_file(file))
    return found


def job_options(function: Function) -> Function:
    """Add the options of `JobOptions`; the function gets them by name."""
    for option in reversed(
        [
            click.option("--cloud", metavar="CLOUD", help="Where to run: modal or local."),
            click.option("--gpus", metavar="NAME[:N]", help="Accelerators, such as H100:2; none for none."),
            click.option("--name", metavar="NAME", help="The job's name."),
            click.option(
                "--timeout", type=length_of_time, metavar="TIME", help="End it after this long: 90, 30m, 2h."
            ),
            click.option(
                "--num-nodes", type=WholeNumber(), metavar="N", help="Number of nodes; only 1 can be run."
            ),
            click.option(
                "-e", "--env", multiple=True, metavar="NAME[=VALUE]",
                help="Set an environment variable; without a value, to your own. Repeatable.",
            ),
            click.option(
                "--secret", multiple=True, metavar="NAME[=VALUE]",
                help="Set a secret in the same way. Repeatable.",
            ),
            click.option(
                "--env-file", multiple=True, type=click.Path(exists=True, dir_okay=False, path_type=Path),
                callback=_read_env_files, metavar="FILE",
                help="Read environment variables from a file of NAME=VALUE lines. Repeatable; the last wins.",
            ),
            click.option(
                "--dialect", type=click.Choice(["oumi", "skypilot"]), help="Read it as this tool does."
            ),
            click.option("--task", metavar="NAME", help="Which of several tasks in the file."),
            click.option("--as-task", is_flag=True, help="Run a service's `run` as a job."),
        ]
    ):  # fmt: skip
        function = option(function)
    return function


def read_job(file: str, overrides: Sequence[str], options: JobOptions) -> JobConfig:
    """Read a job file, or stdin for `-`, as this command line wants it.

    Raises:
        JobFileError: With every fault of the file.
        UsageError: For an environment variable that cannot be set.
    """
    from trebuchet.files import job_from_text, load_job  # noqa: PLC0415 - brings yaml

    gpus = "null" if options.gpus is not None and options.gpus.lower() == "none" else options.gpus
    named = {"--resources.cloud": options.cloud, "--resources.accelerators": gpus}
    given = [part for name, value in named.items() if value is not None for part in (name, value)]
    how: dict[str, Any] = {
        "overrides": [*overrides, *given],
        "dialect": options.dialect,
        "task": options.task,
        "as_task": options.as_task,
    }
    job = job_from_text(_from_stdin(), _STDIN, **how) if file == "-" else load_job(file, **how)
    return with_options(job, options)


def _from_stdin() -> str:
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError("The job file on stdin is not UTF-8.") from None


def with_options(job: JobConfig, options: JobOptions) -> JobConfig:
    """A job as the command line changes it, where that does not concern its file.

    Raises:
        UsageError: For an environment variable that cannot be set.
    """
    from trebuchet.files import variable  # noqa: PLC0415 - brings yaml

    changes: dict[str, Any] = {
        "name": options.name,
        "timeout": options.timeout,
        "num_nodes": options.num_nodes,
    }
    envs, secrets = _from_files(job, options.env_file)
    return replace(
        job,
        envs={**envs, **dict(variable(each, os.environ) for each in options.env)},
        secrets={**secrets, **dict(variable(each, os.environ) for each in options.secret)},
        **{name: value for name, value in changes.items() if value is not None},
    )


def _from_files(
    job: JobConfig, found: Mapping[str, str]
) -> tuple[dict[str, str | None], dict[str, str | None]]:
    """The job's `envs` and `secrets` with what environment files say; what the job calls a secret is one.

    They come before the job file, and after what the command line says itself (`--envs.NAME`).
    """
    envs, secrets = dict(job.envs), dict(job.secrets)
    for name, value in found.items():
        section, variables = ("secrets", secrets) if name in secrets else ("envs", envs)
        position = job.positions.get(f"{section}.{name}")
        if position is None or position.line is not None:
            variables[name] = value
    return envs, secrets
