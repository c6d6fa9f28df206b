"""Whose job file it is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trebuchet.files.tree import Entry
    from trebuchet.job import Dialect

_OUMI_ALONE = frozenset({"working_dir", "storage_mounts", "user"})
_SKYPILOT_ALONE = frozenset(
    {"workdir", "service", "pool", "inputs", "config", "experimental", "event_callback", "execution"}
)
_SKYPILOT_RESOURCES = frozenset(
    {
        "infra", "any_of", "ordered", "ports", "gpus", "autostop", "job_recovery", "spot_recovery",
        "network_tier", "local_disk", "priority", "accelerator_args", "max_hourly_cost", "labels", "volumes",
    }
)  # fmt: skip
_BUCKET = re.compile(r"(s3|gs|r2|cos|oci|nebius|cw|hf)://")
_SKYPILOT_HINTS = frozenset({"secrets", "num_nodes", "volumes"})


def dialect_of(document: Entry) -> Dialect:
    """Tell by the fields that only one of the tools knows; a file that could be either is Oumi's."""
    keys = set(document.mapping)
    resources = _inside(document, "resources")
    if keys & _OUMI_ALONE:
        return "oumi"
    if keys & _SKYPILOT_ALONE or set(resources) & _SKYPILOT_RESOURCES or _mounts_storage(document):
        return "skypilot"
    if "cloud" in resources:
        return "oumi"
    accelerators = resources.get("accelerators")
    several = accelerators is not None and (accelerators.is_mapping or accelerators.is_list)
    return "skypilot" if several or keys & _SKYPILOT_HINTS else "oumi"


def _inside(document: Entry, name: str) -> dict[str, Entry]:
    entry = document.mapping.get(name)
    return {} if entry is None else entry.mapping


def _mounts_storage(document: Entry) -> bool:
    """A mapping or a bucket's URL among the file mounts is storage in SkyPilot's manner."""
    return any(
        mount.is_mapping or (isinstance(mount.value, str) and _BUCKET.match(mount.value.strip()))
        for mount in _inside(document, "file_mounts").values()
    )
