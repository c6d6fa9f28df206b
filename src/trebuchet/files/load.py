"""From a path to a job."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from trebuchet.files import oumi
from trebuchet.files.fields import OUMI
from trebuchet.files.overrides import apply_overrides
from trebuchet.files.problems import Problems
from trebuchet.files.shapes import read
from trebuchet.files.source import read_text
from trebuchet.files.tree import documents

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trebuchet.files.tree import Entry
    from trebuchet.job import Dialect, JobConfig


def load_job(
    path: str | Path,
    *,
    overrides: Sequence[str] = (),
    dialect: Dialect | None = None,
    task: str | None = None,
    as_task: bool = False,
) -> JobConfig:
    """Read a job file.

    Args:
        path: The file.
        overrides: Dotted ones as on the command line: `["--resources.accelerators", "H100:2", "--envs.X=y"]`;
            values are read as YAML.
        dialect: How to read it; None to tell by its fields.
        task: Which of several tasks in the file; None where there is one.
        as_task: Whether to run the `run` of a service as a job.

    Raises:
        JobFileError: With every fault of file and overrides.
    """
    problems = Problems(str(path))
    text = read_text(Path(path), problems)
    return job_from_text(text, str(path), overrides=overrides, dialect=dialect, task=task, as_task=as_task)


def job_from_text(
    text: str,
    name: str,
    *,
    overrides: Sequence[str] = (),
    dialect: Dialect | None = None,
    task: str | None = None,
    as_task: bool = False,
) -> JobConfig:
    """Read a job from text that is at hand; `name` is what messages call it. Otherwise as `load_job`.

    Raises:
        JobFileError: With every fault of text and overrides.
    """
    problems = Problems(name)
    found = documents(text, problems)
    document = _the_one(found, problems)
    apply_overrides(document, overrides, problems)
    values = read(OUMI, document, "", problems)
    problems.settle()
    return oumi.job(values, document, Path(name))


def _the_one(found: list[Entry], problems: Problems) -> Entry:
    if not found:
        problems.add("The file is empty.", "a job file is YAML with a `run:` script in it")
        raise problems.error()
    return found[0]
