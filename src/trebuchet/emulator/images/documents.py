"""The small documents of a store, manifests and configurations, and what each leads to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trebuchet.emulator.images.errors import UnusableImageError
from trebuchet.emulator.images.manifests import LARGEST_DOCUMENT, Index, read_config, read_manifest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

    from trebuchet.emulator.images.store import Store


def documents_of(store: Store, roots: Iterable[Path]) -> set[Path]:
    """Those that lead to some root folders: with these a pull by digest needs no network.

    Args:
        store: Where they lie, among archives and downloads under way.
        roots: The folders that are named by what they are made of.
    """
    leads = {path: _leads(store, path) for path in (store.folder / "blobs").glob("*")}
    goals = set(roots)
    found: set[Path] = set()
    while more := {path for path, ends in leads.items() if path not in found and not goals.isdisjoint(ends)}:
        found |= more
        goals |= more
    return found


def _leads(store: Store, blob: Path) -> Collection[Path]:
    """Where a document leads: from an index to manifests, from these to configurations, then to a root."""
    try:
        content = blob.read_bytes() if blob.stat().st_size <= LARGEST_DOCUMENT else b""
    except FileNotFoundError:  # an archive that was unpacked just now
        return ()
    try:
        return [store.root(read_config(content).chain_id)]
    except UnusableImageError:
        pass  # it is no configuration
    try:
        document = read_manifest(content, "")
    except UnusableImageError:
        return ()
    if isinstance(document, Index):
        return [store.blob(entry.digest) for entry in document.entries]
    return [store.blob(document.config.digest)]
