"""From a command line to a job: the options that every verb with a job file takes, and what they do to it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from trebuchet.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from trebuchet.job import JobConfig

Function = TypeVar("Function", bound="Callable[..., Any]")

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


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
        env_file: A file of such lines.
    """

    cloud: str | None = None
    gpus: str | None = None
    name: str | None = None
    timeout: int | None = None
    num_nodes: int | None = None
    env: tuple[str, ...] = ()
    secret: tuple[str, ...] = ()
    env_file: Path | None = None


JOB_OPTIONS = tuple(field.name for field in fields(JobOptions))


def job_options(function: Function) -> Function:
    """Add the options of `JobOptions`; the function gets them by name."""
    for option in reversed(
        [
            click.option("--cloud", metavar="CLOUD", help="Where to run: modal or local."),
            click.option("--gpus", metavar="NAME[:N]", help="Accelerators, such as H100:2."),
            click.option("--name", metavar="NAME", help="The job's name."),
            click.option(
                "--timeout", type=length_of_time, metavar="TIME", help="End it after this long: 90, 30m, 2h."
            ),
            click.option("--num-nodes", type=int, metavar="N", help="Number of nodes; only 1 can be run."),
            click.option(
                "-e", "--env", multiple=True, metavar="NAME[=VALUE]",
                help="Set an environment variable; without a value, to your own. Repeatable.",
            ),
            click.option(
                "--secret", multiple=True, metavar="NAME[=VALUE]",
                help="Set a secret in the same way. Repeatable.",
            ),
            click.option(
                "--env-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
                help="Read environment variables from a file of NAME=VALUE lines.",
            ),
        ]
    ):  # fmt: skip
        function = option(function)
    return function


def read_job(file: str, overrides: Sequence[str], options: JobOptions) -> JobConfig:
    """Read a job file as this command line wants it.

    Raises:
        JobFileError: With every fault of the file.
        UsageError: For an environment variable that cannot be set.
    """
    from trebuchet.files import load_job  # noqa: PLC0415 - brings yaml

    named = {"--resources.cloud": options.cloud, "--resources.accelerators": options.gpus}
    given = [part for name, value in named.items() if value is not None for part in (name, value)]
    job = load_job(file, overrides=[*overrides, *given])
    from_file = _lines_of(options.env_file) if options.env_file else ()
    changes: dict[str, Any] = {
        "name": options.name,
        "timeout": options.timeout,
        "num_nodes": options.num_nodes,
    }
    return replace(
        job,
        envs={**job.envs, **dict(map(_variable, (*from_file, *options.env)))},
        secrets={**job.secrets, **dict(map(_variable, options.secret))},
        **{name: value for name, value in changes.items() if value is not None},
    )


def _variable(given: str) -> tuple[str, str]:
    name, equals, value = given.partition("=")
    if not _NAME.fullmatch(name):
        raise UsageError(
            "An environment variable's name consists of letters, digits and _, and begins with no digit.",
            hint="write --env NAME=VALUE; the value is not shown here, since it may be a secret",
        )
    if equals:
        return name, value
    if name not in os.environ:
        raise UsageError(
            f"{name} was given without a value, and your environment has none.",
            hint=f"write {name}=VALUE, or set it before: export {name}=…",
        )
    return name, os.environ[name]


def _lines_of(path: Path) -> Iterable[str]:
    for line in path.read_text(encoding="utf-8").splitlines():
        text = line.strip().removeprefix("export ").lstrip()
        if text and not text.startswith("#"):
            name, equals, value = text.partition("=")
            yield f"{name.strip()}{equals}{_unquoted(value.strip())}"


def _unquoted(value: str) -> str:
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return value[1:-1] if quoted else value
