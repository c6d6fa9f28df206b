"""Laying layers over one another into the files of a whole image, which costs no space: all are hard links.

Overlays could stack the layers too, but how one is told what a layer takes away differs by kernel and user,
and an image may have more layers than a mount takes. A tree of links works everywhere.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from trebuchet.emulator.disk import read_json
from trebuchet.emulator.images.extract import NOTES, Notes
from trebuchet.emulator.images.ownership import Facts, facts_of, give_facts
from trebuchet.emulator.images.store import TREE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_NO_MORE_LINKS = frozenset({errno.EMLINK, errno.EPERM, errno.EOPNOTSUPP, errno.EXDEV})


def merge(layers: Sequence[Path], target: Path) -> None:
    """Fill a new folder with what an image's root holds.

    Args:
        layers: Folders of unpacked layers, lowest first.
        target: Made.

    Raises:
        OSError: The disk fails.
    """
    target.mkdir(0o755)
    for layer in layers:
        notes = Notes(**cast("dict[str, list[str]]", read_json(layer / NOTES) or {}))
        _take_away(str(target), notes)
        _lay(str(layer / TREE), str(target), frozenset(notes.implied))


def _take_away(top: str, notes: Notes) -> None:
    for name in notes.opaque:
        if _is_reached(top, name):
            with os.scandir(f"{top}/{name}") as entries:
                for entry in entries:
                    _remove(entry.path)
    for name in notes.whiteouts:
        if _is_reached(top, os.path.dirname(name)):
            _remove(f"{top}/{name}")


def _is_reached(top: str, name: str) -> bool:
    """Whether the path leads to a folder through folders alone: what a layer hides is never behind a link."""
    here = top
    for part in name.split("/") if name else ():
        here = f"{here}/{part}"
        if not _is_folder(here):
            return False
    return True


@dataclass(frozen=True)
class _Visit:
    """A folder of a layer, and of the tree below it that it goes onto."""

    source: str
    target: str
    name: str


def _lay(source: str, target: str, implied: frozenset[str]) -> None:
    folders: list[tuple[str, Facts]] = []
    ahead = [_Visit(source, target, "")]
    while ahead:
        visit = ahead.pop()
        kept = visit.target if visit.name in implied else visit.source
        folders.append((visit.target, facts_of(os.lstat(kept))))
        ahead += _lay_folder(visit)
    for path, facts in reversed(folders):
        give_facts(path, facts)


def _lay_folder(visit: _Visit) -> Iterator[_Visit]:
    with os.scandir(visit.source) as entries:
        for entry in entries:
            target = f"{visit.target}/{entry.name}"
            if not entry.is_dir(follow_symlinks=False):
                _link(entry.path, target)
                continue
            if not _is_folder(target):
                _remove(target)
                os.mkdir(target, 0o755)
            yield _Visit(entry.path, target, f"{visit.name}/{entry.name}" if visit.name else entry.name)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        _remove(target)
        _link(source, target)
    except OSError as error:
        if error.errno not in _NO_MORE_LINKS:
            raise
        facts = facts_of(os.lstat(source))
        shutil.copy2(source, target, follow_symlinks=False)
        give_facts(target, facts, link=stat.S_ISLNK(facts.mode))


def _is_folder(path: str) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except FileNotFoundError:
        return False


def _remove(path: str) -> None:
    if _is_folder(path):
        shutil.rmtree(path)
    else:
        try:
            os.unlink(path)
        except FileNotFoundError:
            return
