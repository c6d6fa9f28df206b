"""Oumi's job files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trebuchet.files.positions import positions
from trebuchet.job import JobConfig, JobResources, StorageMount

if TYPE_CHECKING:
    from pathlib import Path

    from trebuchet.files.tree import Entry


def job(values: dict[str, Any], document: Entry, source: Path) -> JobConfig:
    """A job from the checked values of a file."""
    given = {name: value for name, value in values.items() if value is not None}
    resources = given.pop("resources", {})
    mounts = given.pop("storage_mounts", {})
    return JobConfig(
        **given,
        resources=JobResources(**resources),
        storage_mounts={place: StorageMount(**mount) for place, mount in mounts.items()},
        dialect="oumi",
        source=source,
        positions=positions(document),
    )
