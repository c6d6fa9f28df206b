"""The files of one volume, as a caller reads and changes them while sandboxes do there what they like.

Links are followed as far as they stay inside, and by ourselves: from descriptor to descriptor, so that one
put in the way between a look and a deed leads nobody out.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from trebuchet.emulator.process.removal import remove_at
from trebuchet.emulator.process.supervise.beneath import open_beneath
from trebuchet.emulator.sparse import copy_content
from trebuchet.emulator.world.errors import AlreadyExistsError, ConflictError, InvalidError, NotFoundError
from trebuchet.emulator.world.trees import FILE, FOLDER, Tree, copy_at, make_open_folder, walk

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

_TOLD_BYTE = re.compile(r"\\x([0-9a-f]{2})")
_MOST_LINKS = 40
_KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
}
_IN_THE_WAY = {errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY}
"""What is said of a path on which there is, or suddenly is, another thing than a folder."""
_NO_SUCH_FILE = {errno.ENAMETOOLONG, errno.EFBIG}


@dataclass(frozen=True, kw_only=True)
class VolumeEntry:
    """A file, folder or link in a volume; the path has no leading slash, times are in seconds."""

    path: str
    kind: str
    size: int
    modified_at: int


@dataclass(frozen=True, kw_only=True)
class PutFile:
    """A file to be put: its content is the pieces, each at its offset, and zeros between."""

    path: str
    pieces: Sequence[tuple[int, Path]]
    size: int
    mode: int


@dataclass(frozen=True)
class _Spot:
    """Where a path leads.

    Attributes:
        folder: A descriptor of the folder that it is in.
        name: Its name there; `.` where it is that folder itself.
        path: The whole way, without links.
        mode: What is there; None for nothing.
    """

    folder: int
    name: str
    path: str
    mode: int | None

    @property
    def is_folder(self) -> bool:
        return self.mode is not None and stat.S_ISDIR(self.mode)


class VolumeFiles:
    """What lies below a volume's folder.

    Every method raises InvalidError for a path that leads out of the volume or that no file can have, and
    ConflictError where something else than a folder is, or is being put, in the way.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def real(self, path: str, *, make: bool = False) -> str:
        """The way to a path without links; with `make` it is a folder from then on."""
        with self._find(path, make=make) as spot:
            if make and spot.mode is None:
                make_open_folder(spot.name, spot.folder)
            elif make and not spot.is_folder:
                raise ConflictError(f"{path!r} is no folder.")
            return spot.path

    def entries(self, path: str, *, recursive: bool) -> Iterator[VolumeEntry]:
        """What a folder holds, or the file itself.

        Raises:
            NotFoundError: There is nothing at the path.
        """
        with self._found(path) as spot:
            if spot.is_folder:
                folder = os.open(spot.name, FOLDER, dir_fd=spot.folder)
                for found, known, _, _ in walk(folder, spot.path, recursive=recursive):
                    yield _entry(found, known)
            else:
                yield _entry(spot.path, os.stat(spot.name, dir_fd=spot.folder, follow_symlinks=False))

    def open(self, path: str) -> int:
        """A descriptor of a file, to be read.

        Raises:
            NotFoundError: There is nothing at the path.
            InvalidError: It is no file.
        """
        with self._found(path) as spot:
            if spot.mode is not None and stat.S_ISREG(spot.mode):
                descriptor = os.open(spot.name, FILE, dir_fd=spot.folder)
                if stat.S_ISREG(os.fstat(descriptor).st_mode):
                    return descriptor
                os.close(descriptor)
        raise InvalidError(f"{path!r} is no file.")

    def put(self, files: Iterable[PutFile], *, overwrite: bool) -> None:
        """Put files, each at once.

        Raises:
            AlreadyExistsError: One exists, and `overwrite` is not set.
        """
        files = list(files)
        for file in files:
            with self._find(file.path) as spot:
                if spot.is_folder:
                    raise ConflictError(f"{file.path!r} is a folder.")
                if spot.mode is not None and not overwrite:
                    raise AlreadyExistsError(f"{file.path!r} already exists.")
        for file in files:
            with self._find(file.path, make=True) as spot:
                _write(file, spot)

    def remove(self, path: str, *, recursive: bool) -> None:
        """Remove a file or folder; of a link, the link.

        Raises:
            NotFoundError: There is nothing at the path.
            InvalidError: A folder, and `recursive` is not set.
        """
        with self._found(path, follow=False) as spot:
            if not spot.is_folder:
                os.unlink(spot.name, dir_fd=spot.folder)
            elif not recursive:
                raise InvalidError(f"{path!r} is a folder: remove it recursively.")
            elif spot.path:
                remove_at(spot.name, spot.folder)
            else:
                for name in os.listdir(spot.folder):  # noqa: PTH208 - of a descriptor
                    self.remove(name, recursive=True)

    def copy(self, sources: Sequence[str], target: str, *, recursive: bool) -> None:
        """Copy within the volume, as `cp` does; but a link in the target's place is replaced.

        Raises:
            NotFoundError: A source does not exist.
            InvalidError: A folder, and `recursive` is not set.
        """
        with self._find(target) as into:
            pass
        if len(sources) > 1 and not into.is_folder:
            raise InvalidError(f"{target!r} is no folder, so only one file can be copied to it.")
        for source in sources:
            with self._found(source) as spot:
                name = PurePosixPath(spot.path).name
                place = f"{into.path}/{name}" if into.is_folder else into.path
                if not spot.is_folder:
                    with self._find(place, make=True, follow=False) as to:
                        if to.is_folder:
                            raise ConflictError(f"{place!r} is a folder.")
                        copy_at(spot.name, spot.folder, to.name, to.folder)
                elif recursive and name:
                    self._copy_folder(spot.path, place.strip("/"))
                else:
                    raise InvalidError(f"{source!r} is a folder: copy it recursively, or what is in it.")

    def _copy_folder(self, source: str, target: str) -> None:
        entries = Tree(self._root, source).scan()
        os.close(open_beneath(str(self._root), target, make=True))
        Tree(self._root, target).take(Tree(self._root, source), entries)

    @contextmanager
    def _found(self, path: str, *, follow: bool = True) -> Generator[_Spot]:
        with self._find(path, follow=follow) as spot:
            if spot.mode is None:
                raise NotFoundError(f"There is no {path!r} in the volume.")
            yield spot

    @contextmanager
    def _find(self, path: str, *, make: bool = False, follow: bool = True) -> Generator[_Spot]:
        """Where a path leads, which is open until the block ends.

        Args:
            path: From the volume's root; with or without a leading slash.
            make: Whether folders on the way are made.
            follow: Whether a link at its very end is followed.
        """
        walked = [os.open(self._root, FOLDER)]
        try:
            yield _Search(walked, path, make=make, follow=follow).spot()
        except OSError as error:
            if error.errno in _IN_THE_WAY:
                raise ConflictError(
                    f"{path!r} is no place in the volume: something is in the way."
                ) from error
            if error.errno in _NO_SUCH_FILE:
                raise InvalidError(f"No file can be at {path[:100]!r}: {error.strerror}.") from error
            raise
        finally:
            for descriptor in walked:
                os.close(descriptor)


class _Search:
    """One walk along a path: the descriptors of the folders walked through, the root's first."""

    def __init__(self, walked: list[int], path: str, *, make: bool, follow: bool) -> None:
        pure = PurePosixPath("/", path)
        if ".." in pure.parts or "\0" in path:
            raise InvalidError(f"{path!r} leads out of the volume.")
        self._walked = walked
        self._path = path
        self._make = make
        self._follow = follow
        self._here: list[str] = []
        self._ahead = list(reversed(pure.parts[1:]))
        self._links = 0

    def spot(self) -> _Spot:
        while self._ahead:
            name = self._ahead.pop()
            if name == "..":  # a link's: the caller's own paths have none
                self._go_up()
                continue
            name, mode = self._look(name)
            if mode is not None and stat.S_ISLNK(mode) and (self._follow or self._ahead):
                self._turn(name)
            elif not self._ahead:
                return _Spot(self._walked[-1], name, "/".join([*self._here, name]), mode)
            elif mode is None and not self._make:
                rest = "/".join([*self._here, name, *reversed(self._ahead)])
                return _Spot(self._walked[-1], name, rest, None)
            else:
                self._go_down(name, mode)
        return _Spot(self._walked[-1], ".", "/".join(self._here), stat.S_IFDIR)

    def _look(self, name: str) -> tuple[str, int | None]:
        """What is there, under this name or the one that it tells."""
        for candidate in (name, _as_on_disk(name)):
            try:
                return candidate, os.stat(candidate, dir_fd=self._walked[-1], follow_symlinks=False).st_mode
            except FileNotFoundError:
                continue
        return _as_on_disk(name), None

    def _turn(self, name: str) -> None:
        aim = os.readlink(name, dir_fd=self._walked[-1])
        self._links += 1
        if aim.startswith("/") or self._links > _MOST_LINKS:
            raise InvalidError(f"{self._path!r} leads out of the volume.")
        self._ahead += [part for part in reversed(aim.split("/")) if part not in {"", "."}]

    def _go_up(self) -> None:
        if not self._here:
            raise InvalidError(f"{self._path!r} leads out of the volume.")
        self._here.pop()
        os.close(self._walked.pop())

    def _go_down(self, name: str, mode: int | None) -> None:
        if mode is None:
            make_open_folder(name, self._walked[-1])
        self._walked.append(os.open(name, FOLDER, dir_fd=self._walked[-1]))
        self._here.append(name)


def _write(file: PutFile, spot: _Spot) -> None:
    draft = f".{secrets.token_hex(8)}"
    writes = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=spot.folder)
    try:
        for offset, piece in file.pieces:
            with piece.open("rb") as reads:
                copy_content(reads.fileno(), writes, offset)
        os.ftruncate(writes, file.size)
        os.fchmod(writes, file.mode or 0o644)
        os.rename(draft, spot.name, src_dir_fd=spot.folder, dst_dir_fd=spot.folder)
    except BaseException:
        os.unlink(draft, dir_fd=spot.folder)
        raise
    finally:
        os.close(writes)


def _as_told(path: str) -> str:
    r"""A path as text can hold it: a byte that is no UTF-8 is written `\xff`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _as_on_disk(name: str) -> str:
    """A name as it was told, with its bytes in their places."""
    return _TOLD_BYTE.sub(lambda byte: os.fsdecode(bytes.fromhex(byte.group(1))), name)


def _entry(path: str, known: os.stat_result) -> VolumeEntry:
    return VolumeEntry(
        path=_as_told(path),
        kind=_KINDS.get(stat.S_IFMT(known.st_mode), "device"),
        size=known.st_size,
        modified_at=int(known.st_mtime),
    )
