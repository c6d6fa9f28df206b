"""SkyPilot's task files."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

from trebuchet.files.positions import positions
from trebuchet.files.recovery import take_restarts
from trebuchet.files.resources import resources
from trebuchet.files.storage import storage_mount
from trebuchet.job import JobConfig, StorageMount

if TYPE_CHECKING:
    from pathlib import Path

    from trebuchet.files.problems import Problems
    from trebuchet.files.tree import Entry

_URI = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")
_NO_PLACE = frozenset(
    {
        "inputs", "service", "pool", "config", "experimental", "event_callback", "execution",
        "managed_secrets", "api_server_access",
    }
)  # fmt: skip


def skypilot_job(
    values: dict[str, Any], document: Entry, source: Path, problems: Problems, *, as_task: bool
) -> JobConfig:
    """A job from the checked values of a file."""
    given = {name: value for name, value in values.items() if value is not None}
    found = resources(given.pop("resources", {}), document.mapping.get("resources"), problems)
    renamed = {**found.renamed}
    without_place = _NO_PLACE & given.keys()
    if isinstance(given.get("outputs"), dict):
        without_place |= {"outputs"}
    # That they are there is all that is needed; what is in them (headers of a probe) may be secret.
    extras: dict[str, Any] = dict.fromkeys(sorted(without_place))
    for name in without_place:
        del given[name]
    given = {**take_restarts(found.extras, renamed), **given}
    if found.extras:
        extras["resources"] = found.extras
    _work_dir(given, renamed)
    _mounts(given, renamed)
    return JobConfig(
        **given,
        resources=found.resources,
        dialect="skypilot",
        source=source,
        written_for=found.written_for,
        as_task=as_task,
        extras=extras,
        positions=positions(document, renamed),
    )


def _work_dir(given: dict[str, Any], renamed: dict[str, tuple[str, ...]]) -> None:
    work_dir = given.pop("workdir", None)
    renamed["workdir"] = ("working_dir",)
    if isinstance(work_dir, dict):
        git = cast("dict[str, str | None]", work_dir)
        renamed["workdir.url"], renamed["workdir.ref"] = ("working_dir",), ("working_dir_ref",)
        given["working_dir"], given["working_dir_ref"] = git.get("url") or "", git.get("ref")
    elif work_dir is not None:
        given["working_dir"] = work_dir


def _mounts(given: dict[str, Any], renamed: dict[str, tuple[str, ...]]) -> None:
    """Tell local files from buckets and Volumes, which SkyPilot writes under one key."""
    mounts: dict[str, Any] = given.pop("file_mounts", {})
    files: dict[str, str] = {}
    storage: dict[str, StorageMount] = {}
    for place, mount in mounts.items():
        if isinstance(mount, str) and not _URI.match(mount):
            files[place] = mount
            continue
        renamed[f"file_mounts.{place}"] = (f"storage_mounts.{place}",)
        storage[place] = _storage(mount)
    given["file_mounts"], given["storage_mounts"] = files, storage


def _storage(mount: str | dict[str, Any] | None) -> StorageMount:
    if isinstance(mount, str):
        return StorageMount(source=mount, mode="COPY")  # at home a bare URI is downloaded
    return storage_mount(mount)
