"""How much room images take, and making some. Both block: call them in a thread."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, cast

from trebuchet.emulator.disk import read_json
from trebuchet.emulator.images.documents import documents_of
from trebuchet.emulator.images.store import MAKING, TREE, Store, discard
from trebuchet.emulator.images.worker import MADE_OF

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from pathlib import Path

_BLOCK = 512


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What a store holds.

    Attributes:
        images: Whole ones.
        size: Bytes on disk, a file that several images share counted once.
    """

    images: int
    size: int


def usage(store: Path) -> Usage:
    """Measure a store; nothing where there is none."""
    seen: set[tuple[int, int]] = set()
    size = 0
    for facts in _all_files(store):
        if (facts.st_dev, facts.st_ino) not in seen:
            seen.add((facts.st_dev, facts.st_ino))
            size += facts.st_blocks * _BLOCK
    roots = store / "roots"
    return Usage(images=len(_finished(roots)) if roots.is_dir() else 0, size=size)


def prunable(store: Path, keep: Collection[Path]) -> int:
    """About how many bytes `prune` would free; what is shared with what stays is not counted."""
    if not store.is_dir():
        return 0
    documents = documents_of(Store(store), (root.parent for root in keep))
    staying = chain(*(_all_files(root.parent) for root in keep), _facts(map(str, documents)))
    kept = {(facts.st_dev, facts.st_ino) for facts in staying}
    size = 0
    for facts in _all_files(store):
        if (facts.st_dev, facts.st_ino) not in kept and not (stat.S_ISDIR(facts.st_mode)):
            kept.add((facts.st_dev, facts.st_ino))
            size += facts.st_blocks * _BLOCK
    return size


def prune(store: Path, keep: Callable[[], Collection[Path] | None]) -> int:
    """Remove all images but some, all layers that only the removed ones had, and what was left half-made.

    An image that stays needs no network afterwards either, where it is pulled by its digest.
    Waits for pulls under way; pulls that begin meanwhile wait for this.

    Args:
        store: The folder of all images.
        keep: Tells which root folders stay, as a `PulledImage` names them; None for all. It is asked once
            nothing is being pulled.

    Returns:
        The bytes that this made free.
    """
    if not store.is_dir():
        return 0
    place = Store(store)
    place.make()
    with place.exclusively():
        kept = keep()
        if kept is None:
            return 0
        before = usage(store).size
        kept_layers: set[str] = set()
        for root in (store / "roots").iterdir():
            if root / TREE in kept:
                kept_layers |= _layers_of(root)
            else:
                discard(root)
        for layer in (store / "layers").iterdir():
            if layer.name not in kept_layers:
                discard(layer)
        documents = documents_of(place, (store / "roots").iterdir())
        for blob in (store / "blobs").iterdir():
            if blob not in documents:
                blob.unlink()
        return max(0, before - usage(store).size)


def _layers_of(root: Path) -> set[str]:
    """The layers that an image was stacked from; none where that cannot be read: its files stay without."""
    try:
        made_of = read_json(root / MADE_OF) or {}
    except ValueError:
        return set()
    return set(cast("list[str]", made_of.get("layers", [])))


def _finished(folder: Path) -> list[Path]:
    return [entry for entry in folder.iterdir() if not entry.name.endswith(MAKING)]


def _all_files(folder: Path) -> Iterator[os.stat_result]:
    for parent, folders, files in os.walk(folder):
        yield from _facts(f"{parent}/{name}" for name in (*folders, *files))


def _facts(paths: Iterable[str]) -> Iterator[os.stat_result]:
    """What is known of files, but for those that have just gone."""
    for path in paths:
        with suppress(FileNotFoundError):
            yield os.lstat(path)
