"""From a path to a job."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from trebuchet.files.dialects import Reading, dialect_of
from trebuchet.files.fields import OUMI, SKYPILOT
from trebuchet.files.foreign import refuse_foreign
from trebuchet.files.oumi import oumi_job
from trebuchet.files.overrides import apply_overrides
from trebuchet.files.problems import Problems
from trebuchet.files.secrets import name_secrets
from trebuchet.files.shapes import read
from trebuchet.files.skypilot import skypilot_job
from trebuchet.files.source import read_text
from trebuchet.files.tasks import one_task
from trebuchet.files.tree import documents
from trebuchet.job import Position

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
    document = one_task(found, task, problems)
    reading = Reading(dialect) if dialect else dialect_of(document, among=len(found))
    file_cloud = _cloud(document)
    refuse_foreign(document, problems)
    name_secrets(document)
    apply_overrides(document, overrides, problems)
    record = OUMI if reading.dialect == "oumi" else SKYPILOT
    values = read(record, document, "", problems)
    problems.settle()
    if reading.dialect == "oumi":
        job = oumi_job(values, document, Path(name), problems)
    else:
        job = skypilot_job(values, document, Path(name), problems, as_task=as_task)
    problems.settle()
    return replace(_written_for(job, file_cloud), dialect_told=reading.told)


def _cloud(document: Entry) -> Entry | None:
    """The cloud that the file itself names, where it does so as text."""
    resources = document.mapping.get("resources")
    cloud = None if resources is None else resources.mapping.get("cloud")
    return cloud if cloud is not None and isinstance(cloud.value, str) else None


def _written_for(job: JobConfig, cloud: Entry | None) -> JobConfig:
    """A job that remembers its file's own cloud, and where it stands, if an override names another."""
    if cloud is None or cloud.value == job.resources.cloud:
        return job
    place = Position("resources.cloud", cloud.line, cloud.column, leaf=False)  # the override is the leaf
    return replace(job, written_for=cloud.value, positions={**job.positions, "written_for": place})
