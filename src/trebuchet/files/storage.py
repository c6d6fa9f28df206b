"""Buckets and Volumes as both dialects write them, as one `StorageMount`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trebuchet.job import StorageMount

if TYPE_CHECKING:
    from collections.abc import Mapping


def storage_mount(written: Mapping[str, Any] | None) -> StorageMount:
    """The mount that a mapping describes. Several sources become one text, which no bucket has for a name."""
    values = {name: value for name, value in (written or {}).items() if value is not None}
    if isinstance(values.get("source"), list):
        values["source"] = ", ".join(str(one) for one in values["source"])
    return StorageMount(**values)
