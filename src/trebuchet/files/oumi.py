"""Oumi's job files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trebuchet.files.positions import positions
from trebuchet.files.recovery import take_restarts
from trebuchet.files.resources import resources
from trebuchet.files.storage import storage_mount
from trebuchet.job import JobConfig

if TYPE_CHECKING:
    from pathlib import Path

    from trebuchet.files.problems import Problems
    from trebuchet.files.tree import Entry


def oumi_job(values: dict[str, Any], document: Entry, source: Path, problems: Problems) -> JobConfig:
    """A job from the checked values of a file."""
    given = {name: value for name, value in values.items() if value is not None}
    found = resources(given.pop("resources", {}), document.mapping.get("resources"), problems)
    renamed = {**found.renamed}
    given = {**take_restarts(found.extras, renamed), **given}
    mounts: dict[str, dict[str, Any] | None] = given.pop("storage_mounts", {})
    return JobConfig(
        **given,
        resources=found.resources,
        storage_mounts={place: storage_mount(mount) for place, mount in mounts.items()},
        dialect="oumi",
        source=source,
        written_for=found.written_for,
        extras={"resources": found.extras} if found.extras else {},
        positions=positions(document, renamed),
    )
