"""Unpacking one layer: what it adds goes into a folder, what it takes away is noted beside it."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tarfile
import zlib
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, cast

from trebuchet.emulator.disk import write_json
from trebuchet.emulator.images.archive import BROKEN, TarStream
from trebuchet.emulator.images.errors import DigestMismatchError, UnusableImageError
from trebuchet.emulator.images.ownership import Facts, give_facts
from trebuchet.emulator.images.paths import DEEPEST, Inside, parts_of
from trebuchet.emulator.images.store import TREE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NOTES = "layer.json"
_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_RESERVED = ".wh..wh."
_COPY = 1 << 20
_LATEST = 1 << 33
"""Seconds since the epoch that every file system can hold; some archives claim more."""


@dataclass
class Notes:
    """What a layer does besides adding files. Paths are relative to its top.

    Attributes:
        whiteouts: What it removes from the layers below.
        opaque: Folders that it empties of what the layers below have there.
        implied: Folders that it holds only because something lies in them; those below keep their modes.
    """

    whiteouts: list[str] = field(default_factory=list[str])
    opaque: list[str] = field(default_factory=list[str])
    implied: list[str] = field(default_factory=list[str])


def extract(archive: Path, diff_id: str, target: Path, on_progress: Callable[[int], None]) -> None:
    """Unpack a layer's archive.

    Args:
        archive: Packed in any of the usual ways.
        diff_id: What it hashes to once decompressed.
        target: An empty folder, to hold the tree and the notes.
        on_progress: Called with the number of the archive's bytes that are done.

    Raises:
        UnusableImageError: It is damaged, or means to write outside its folder.
        DigestMismatchError: It is another layer.
        OSError: The disk fails.
    """
    stream = TarStream(archive)
    try:
        tree = target / TREE
        tree.mkdir(0o755)
        unpacking = _Unpacking(str(tree))
        for member, tar in _members(stream):
            unpacking.take(member, tar)
            on_progress(stream.position())
        unpacking.finish()
        if stream.finish() != diff_id:
            raise DigestMismatchError("A layer, unpacked, is not what the image's configuration says it is.")
    except (tarfile.TarError, zlib.error, *BROKEN) as error:
        raise UnusableImageError(f"A layer of the image is damaged: {error}.") from error
    except (MemoryError, ValueError, OverflowError) as error:
        raise UnusableImageError(f"A layer of the image cannot be read: {error!r:.200}.") from error
    finally:
        stream.close()
    write_json(target / NOTES, vars(unpacking.notes))


def _members(stream: TarStream) -> Iterator[tuple[tarfile.TarInfo, tarfile.TarFile]]:
    source = cast("IO[bytes]", stream)
    try:
        tar = tarfile.open(  # noqa: SIM115 - closed below; here only its first header is read
            fileobj=source, mode="r|", bufsize=_COPY, encoding="utf-8", errors="surrogateescape"
        )
    except tarfile.ReadError:
        if stream.size == 0:  # an empty layer to other tools, an error to this one
            return
        raise
    with tar:
        while (member := tar.next()) is not None:
            yield member, tar
            tar.members = []  # pyright: ignore[reportAttributeAccessIssue] - it would keep them all


class _Unpacking:
    """One layer on its way to the disk."""

    def __init__(self, top: str) -> None:
        self.notes = Notes()
        self._inside = Inside(top)
        self._folders: dict[str, Facts] = {}

    def take(self, member: tarfile.TarInfo, tar: tarfile.TarFile) -> None:
        """Do what one member of the archive says."""
        parts = parts_of(member.name)
        if not parts:
            self._folders[self._inside.top] = _facts(member)
            return
        *above, name = parts
        if name.startswith(_WHITEOUT):
            self._note(tuple(above), name)
            return
        if member.ischr() or member.isblk():
            return  # a sandbox has devices of its own
        folder = self._inside.folder(tuple(above), make=True)
        place = f"{folder}/{name}"
        if member.isdir():
            self._make_folder(place, member)
            return
        source = self._source(member) if member.islnk() else ""
        if source == place:
            return
        self._clear(place)
        if source:
            os.link(source, place, follow_symlinks=False)
        elif member.issym():
            os.symlink(member.linkname, place)
            give_facts(place, _facts(member), link=True)
        elif member.isfifo():
            os.mkfifo(place, 0o600)
            give_facts(place, _facts(member))
        elif member.isreg():
            self._write(place, member, tar)

    def finish(self) -> None:
        """Give the folders their modes and times, which making things in them would have changed."""
        for path in sorted(self._folders, key=len, reverse=True):
            give_facts(path, self._folders[path])
        named = {self._inside.relative(path) for path in self._folders}
        self.notes.implied = sorted((self._inside.implied | {""}) - named)

    def _note(self, above: tuple[str, ...], name: str) -> None:
        if name == _OPAQUE:
            self.notes.opaque.append("/".join(above))
        elif not name.startswith(_RESERVED):
            hidden = name.removeprefix(_WHITEOUT)
            if hidden in {"", ".", ".."}:
                raise UnusableImageError(f"A layer of the image removes {hidden!r}, which is no name.")
            self.notes.whiteouts.append("/".join((*above, hidden)))

    def _make_folder(self, place: str, member: tarfile.TarInfo) -> None:
        mode = _mode(place)
        if mode is None or not stat.S_ISDIR(mode):
            self._clear(place)
            if self._inside.relative(place).count("/") >= DEEPEST:
                raise UnusableImageError(f"A layer of the image has folders more than {DEEPEST} levels deep.")
            os.mkdir(place, 0o700)
        self._folders[place] = _facts(member)

    def _source(self, member: tarfile.TarInfo) -> str:
        """Where the file lies that a hard link names: within the layer, or nowhere."""
        *above, name = parts_of(member.linkname) or ("",)
        try:
            place = f"{self._inside.folder(tuple(above), make=False)}/{name}"
            if not stat.S_ISDIR(os.lstat(place).st_mode):
                return place
        except FileNotFoundError:
            pass
        raise UnusableImageError(
            f"A layer links {member.name!r:.200} to {member.linkname!r:.200}, which it has not."
        )

    def _clear(self, place: str) -> None:
        mode = _mode(place)
        if mode is None:
            return
        if stat.S_ISDIR(mode):
            shutil.rmtree(place)
            self._folders = {
                path: facts
                for path, facts in self._folders.items()
                if path != place and not path.startswith(f"{place}/")
            }
        else:
            os.unlink(place)
        if not stat.S_ISREG(mode):
            self._inside.forget()

    def _check_size(self, member: tarfile.TarInfo) -> None:
        """Refuse a file that this disk cannot hold, before it is filled with it."""
        if 0 <= member.size <= _COPY:
            return
        disk = os.statvfs(self._inside.top)
        if not 0 <= member.size <= disk.f_blocks * disk.f_frsize:  # whatever else is removed from it
            raise UnusableImageError(
                f"A layer holds {member.name!r:.200} of {member.size} bytes, and the disk has no room for it."
            )
        if member.size > disk.f_bavail * disk.f_frsize:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _write(self, place: str, member: tarfile.TarInfo, tar: tarfile.TarFile) -> None:
        self._check_size(member)
        content = tar.extractfile(member)
        if content is None:
            raise UnusableImageError(f"A layer of the image holds no content for {member.name!r:.200}.")
        descriptor = os.open(
            place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )
        with content, open(descriptor, "wb", buffering=0) as file:
            while data := content.read(_COPY):
                if member.issparse() and not data.strip(b"\0"):
                    file.seek(len(data), os.SEEK_CUR)
                else:
                    file.write(data)
            if member.issparse():
                file.truncate(member.size)
        give_facts(place, _facts(member))


def _facts(member: tarfile.TarInfo) -> Facts:
    moment = min(max(member.mtime, 0), _LATEST)
    return Facts(mode=member.mode, uid=member.uid, gid=member.gid, mtime_ns=int(moment * 1e9))


def _mode(path: str) -> int | None:
    try:
        return os.lstat(path).st_mode
    except FileNotFoundError:
        return None
