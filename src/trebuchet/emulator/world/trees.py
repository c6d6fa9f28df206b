"""Folders that somebody else may change at any moment, a sandbox say: no link in them is ever followed.

Every path is walked by descriptors, one part after another, so that a link put in a folder's place meanwhile
leads nowhere.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import contextmanager, suppress
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from trebuchet.emulator.process.removal import remove_at
from trebuchet.emulator.process.supervise.beneath import open_beneath
from trebuchet.emulator.sparse import copy_content
from trebuchet.emulator.world.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator
    from pathlib import Path

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
DEEPEST = 1_000
"""Of so many folders within each other a path can be made; what is nested deeper is no use, but an attack."""
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

    def __init__(self, root: Path, below: str = "") -> None:
        """Take a folder.

        Args:
            root: One that nobody else can replace.
            below: The way from there to the folder meant, on which links are not followed either.
        """
        self._root = root
        self._below = below

    def scan(self) -> dict[str, Entry]:
        """All that it holds; a folder comes before what is in it.

        Raises:
            InvalidError: It is nested too deep.
        """
        found: dict[str, Entry] = {}
        for path, _, folder, name in walk(self._open(), "", recursive=True):
            with suppress(FileNotFoundError):
                entry = _entry(name, folder)
                if entry is not None:
                    found[path] = entry
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
                    copy_at(name, theirs, name, ours)
                _like(name, theirs, ours, entry)

    @contextmanager
    def _parent(self, path: str, *, make: bool = False) -> Generator[tuple[int, str]]:
        """A descriptor of the folder that a path is in, and the path's last part."""
        *folders, name = PurePosixPath(path).parts
        descriptor = self._open()
        try:
            for folder in folders:
                if make:
                    _make_folder(folder, descriptor)
                inner = os.open(folder, FOLDER, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = inner
            yield descriptor, name
        finally:
            os.close(descriptor)

    def _open(self) -> int:
        descriptor = open_beneath(str(self._root), self._below)
        try:
            return os.open(".", FOLDER, dir_fd=descriptor)
        finally:
            os.close(descriptor)


def walk(folder: int, above: str, *, recursive: bool) -> Iterator[tuple[str, os.stat_result, int, str]]:
    """All that a folder holds, by name, a folder before what is in it.

    Args:
        folder: Its descriptor, which is closed here.
        above: Its path.
        recursive: Whether to go into folders.

    Yields:
        The path of each thing, what it is, a descriptor of the folder that it is in, and its name there.

    Raises:
        InvalidError: Folders are nested too deep.
    """
    waiting = [(folder, above, _names(folder))]
    try:
        while waiting:
            descriptor, path, names = waiting[-1]
            name = next(names, None)
            if name is None:
                waiting.pop()
                os.close(descriptor)
                continue
            with _or_changed_meanwhile():
                known = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                found = f"{path}/{name}" if path else name
                yield found, known, descriptor, name
                if recursive and stat.S_ISDIR(known.st_mode):
                    if len(waiting) >= DEEPEST:
                        raise InvalidError(f"Folders are nested more than {DEEPEST} deep.")
                    inner = os.open(name, FOLDER, dir_fd=descriptor)
                    waiting.append((inner, found, _names(inner)))
    finally:
        for descriptor, _, _ in waiting:
            os.close(descriptor)


def _names(folder: int) -> Iterator[str]:
    yield from sorted(os.listdir(folder))


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
        aim = _aim(name, folder)
        return None if aim is None else Entry(known.st_mode, 0, 0, aim)
    if stat.S_ISREG(known.st_mode):
        return Entry(known.st_mode, known.st_size, known.st_mtime_ns, "")
    return None  # a socket, a pipe, a device: no volume holds one


def _aim(name: str, folder: int) -> str | None:
    """Where a link leads; None where something else has taken its place since it was looked at."""
    try:
        return os.readlink(name, dir_fd=folder)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return None


def make_open_folder(name: str, parent: int) -> None:
    """Make a folder in a folder, open to every user of a sandbox whatever this process's umask is.

    Raises:
        FileExistsError: There is something of this name.
    """
    os.mkdir(name, 0o755, dir_fd=parent)
    descriptor = os.open(name, FOLDER, dir_fd=parent)
    try:
        os.fchmod(descriptor, 0o755)
    finally:
        os.close(descriptor)


def _make_folder(name: str, parent: int) -> None:
    try:
        make_open_folder(name, parent)
    except FileExistsError:
        if not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
            os.unlink(name, dir_fd=parent)
            make_open_folder(name, parent)


def _remove(name: str, parent: int) -> None:
    try:
        os.unlink(name, dir_fd=parent)
    except FileNotFoundError:
        return
    except (IsADirectoryError, PermissionError):
        with suppress(OSError):
            remove_at(name, parent)


def copy_at(name: str, source: int, new_name: str, target: int) -> None:
    """Copy a file from one folder to another, at once; what was there is replaced, a link not followed.

    Raises:
        OSError: It is no file any more, or the disk fails.
    """
    draft = f".{secrets.token_hex(8)}"
    reads = os.open(name, FILE, dir_fd=source)
    try:
        known = os.fstat(reads)
        if not stat.S_ISREG(known.st_mode):
            raise OSError(errno.ENXIO, "It is no file")
        writes = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=target)
        try:
            copy_content(reads, writes)
            os.ftruncate(writes, known.st_size)
            os.fchmod(writes, stat.S_IMODE(known.st_mode))
            os.utime(writes, ns=(known.st_mtime_ns, known.st_mtime_ns))
            with suppress(IsADirectoryError, NotADirectoryError):
                os.rename(draft, new_name, src_dir_fd=target, dst_dir_fd=target)
                return
            _remove(new_name, target)
            os.rename(draft, new_name, src_dir_fd=target, dst_dir_fd=target)
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
    flags = FOLDER if stat.S_ISDIR(entry.mode) else FILE
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
