"""Secrets that a file only names: a launch needs their values, a look at the file does not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trebuchet.job import JobConfig


def as_if_given(job: JobConfig) -> tuple[JobConfig, list[str]]:
    """A job as if each of its secrets had a value, to be planned and never launched; those that have none."""
    lacking = [name for name, value in job.secrets.items() if value is None]
    return replace(job, secrets={**job.secrets, **dict.fromkeys(lacking, "")}), lacking


def what_is_lacking(names: Sequence[str]) -> str:
    """What has to be given to a launch, in words."""
    options = " ".join(f"--secret {name}" for name in names)
    return f"runs once it is given {', '.join(names)}: {options}"
