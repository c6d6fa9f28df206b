"""Folders that somebody else may change at any moment, a sandbox say: no link in them is ever followed.

Every path is walked by descriptors, one part after another, so that a link put in a folder's place meanwhile
leads nowhere.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
from contextlib import contextmanager, suppress
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CHUNK = 1 << 20
_CHANGED = {errno.ENOENT, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENXIO}
"""What is said of a path that became another thing while it was looked at."""


class Entry(NamedTuple):
    """What tells whether something has changed: kind and mode, a file's size and time, a link's aim."""

    mode: int
    size: int
    modified_ns: int
    aim: str


class Tree:
    """A folder with all below it; files, folders and links alone, by their path relative to it."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def scan(self) -> dict[str, Entry]:
        """All that it holds; a folder comes before what is in it."""
        found: dict[str, Entry] = {}
        for parent, folders, files, descriptor in os.fwalk(self._root):
            prefix = os.path.relpath(parent, self._root)
            for name in (*folders, *files):
                with suppress(FileNotFoundError):
                    entry = _entry(name, descriptor)
                    if entry is not None:
                        found[name if prefix == "." else f"{prefix}/{name}"] = entry
        return dict(sorted(found.items()))

    def take(self, source: Tree, paths: Iterable[str]) -> None:
        """Make these paths like those of another tree: whatever is there, is gone or is of another kind."""
        for path in paths:
            with _or_changed_meanwhile():
                self._take(source, path)

    def drop(self, paths: Iterable[str]) -> None:
        """Remove these paths, as far as they are there."""
        for path in paths:
            with _or_changed_meanwhile(), self._parent(path) as (parent, name):
                _remove(name, parent)

    def _take(self, source: Tree, path: str) -> None:
        with source._parent(path) as (theirs, name):
            entry = _entry(name, theirs)
            if entry is None:
                return
            with self._parent(path, make=True) as (ours, _):
                if stat.S_ISDIR(entry.mode):
                    _make_folder(name, ours)
                elif stat.S_ISLNK(entry.mode):
                    _remove(name, ours)
                    os.symlink(entry.aim, name, dir_fd=ours)
                else:
                    _copy(name, theirs, ours)
                _like(name, theirs, ours, entry)

    @contextmanager
    def _parent(self, path: str, *, make: bool = False) -> Generator[tuple[int, str]]:
        """A descriptor of the folder that a path is in, and the path's last part."""
        *folders, name = PurePosixPath(path).parts
        descriptor = os.open(self._root, _FOLDER)
        try:
            for folder in folders:
                if make:
                    _make_folder(folder, descriptor)
                inner = os.open(folder, _FOLDER, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = inner
            yield descriptor, name
        finally:
            os.close(descriptor)


@contextmanager
def _or_changed_meanwhile() -> Generator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _CHANGED:
            raise


def _entry(name: str, folder: int) -> Entry | None:
    known = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if stat.S_ISDIR(known.st_mode):
        return Entry(known.st_mode, 0, 0, "")
    if stat.S_ISLNK(known.st_mode):
        return Entry(known.st_mode, 0, 0, os.readlink(name, dir_fd=folder))
    if stat.S_ISREG(known.st_mode):
        return Entry(known.st_mode, known.st_size, known.st_mtime_ns, "")
    return None  # a socket, a pipe, a device: no volume holds one


def _make_folder(name: str, parent: int) -> None:
    try:
        os.mkdir(name, 0o755, dir_fd=parent)
    except FileExistsError:
        if not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
            os.unlink(name, dir_fd=parent)
            os.mkdir(name, 0o755, dir_fd=parent)


def _remove(name: str, parent: int) -> None:
    try:
        os.unlink(name, dir_fd=parent)
    except FileNotFoundError:
        return
    except (IsADirectoryError, PermissionError):
        shutil.rmtree(name, dir_fd=parent, ignore_errors=True)


def _copy(name: str, source: int, target: int) -> None:
    draft = f".{secrets.token_hex(8)}"
    reads = os.open(name, _FILE, dir_fd=source)
    try:
        writes = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=target)
        try:
            with open(reads, "rb", closefd=False) as old, open(writes, "wb", closefd=False) as new:
                shutil.copyfileobj(old, new, _CHUNK)
            with suppress(IsADirectoryError, NotADirectoryError):
                os.rename(draft, name, src_dir_fd=target, dst_dir_fd=target)
                return
            _remove(name, target)
            os.rename(draft, name, src_dir_fd=target, dst_dir_fd=target)
        except BaseException:
            _remove(draft, target)
            raise
        finally:
            os.close(writes)
    finally:
        os.close(reads)


def _like(name: str, source: int, target: int, entry: Entry) -> None:
    """Give what was copied the same mode, owner and time."""
    if stat.S_ISLNK(entry.mode):
        return
    flags = _FOLDER if stat.S_ISDIR(entry.mode) else _FILE
    descriptor = os.open(name, flags, dir_fd=target)
    try:
        if os.geteuid() == 0:
            known = os.stat(name, dir_fd=source, follow_symlinks=False)
            os.fchown(descriptor, known.st_uid, known.st_gid)
        os.fchmod(descriptor, stat.S_IMODE(entry.mode))
        if not stat.S_ISDIR(entry.mode):
            os.utime(descriptor, ns=(entry.modified_ns, entry.modified_ns))
    finally:
        os.close(descriptor)
