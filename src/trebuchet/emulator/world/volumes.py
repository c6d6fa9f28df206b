"""Volumes: folders that outlive sandboxes. A sandbox sees the very folder, so nothing has to be committed."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import stat
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, cast

from trebuchet.emulator.disk import make_private_folder
from trebuchet.emulator.process.removal import remove_shared_tree
from trebuchet.emulator.world.content import copy_file
from trebuchet.emulator.world.errors import AlreadyExistsError, ConflictError, InvalidError, NotFoundError
from trebuchet.emulator.world.ids import new_id
from trebuchet.emulator.world.shelf import Shelf

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_TOLD_BYTE = re.compile(r"\\x([0-9a-f]{2})")
_AS_IT_IS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
"""Without waiting for the other end of a pipe, and without following a link."""

_KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
}


@dataclass(frozen=True, kw_only=True)
class Volume:
    """A volume; one without a name is ephemeral. `version` is 1 or 2, and differs in how files are put."""

    id: str
    name: str
    environment: str
    version: int
    created_at: float


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


class Volumes:
    """All volumes of this engine."""

    def __init__(self, folder: Path) -> None:
        self._folder = make_private_folder(folder)
        self._shelf = Shelf(folder / "records", Volume, "Volume")

    def get(self, volume_id: str) -> Volume:
        """The volume of this id.

        Raises:
            NotFoundError: There is none.
        """
        return self._shelf.get(volume_id)

    def all(self) -> list[Volume]:
        """All that there are, with names and without."""
        return list(self._shelf)

    def named(self, environment: str) -> list[Volume]:
        """All that have names, the newest first."""
        found = [volume for volume in self._shelf if volume.name and volume.environment == environment]
        return sorted(found, key=lambda volume: -volume.created_at)

    def exists(self, name: str, environment: str) -> bool:
        """Whether there is a volume of this name."""
        return self._named(name, environment) is not None

    def find(self, name: str, environment: str) -> Volume:
        """The volume of this name.

        Raises:
            NotFoundError: There is none.
        """
        volume = self._named(name, environment)
        if volume is None:
            raise NotFoundError(f"Volume {name!r} does not exist.")
        return volume

    def _named(self, name: str, environment: str) -> Volume | None:
        return next((volume for volume in self.named(environment) if volume.name == name), None)

    def make(self, name: str, environment: str, version: int) -> Volume:
        """Make a volume; an empty name for an ephemeral one.

        Raises:
            AlreadyExistsError: The name is taken.
        """
        if name and self.exists(name, environment):
            raise AlreadyExistsError(f"Volume {name!r} already exists.")
        volume = Volume(
            id=new_id("vo"), name=name, environment=environment, version=version or 1, created_at=time.time()
        )
        self._files(volume.id).mkdir(mode=0o755)
        return self._shelf.put(volume)

    def rename(self, volume_id: str, name: str) -> None:
        """Give a volume another name.

        Raises:
            AlreadyExistsError: The name is taken.
        """
        volume = self.get(volume_id)
        if self.exists(name, volume.environment):
            raise AlreadyExistsError(f"Volume {name!r} already exists.")
        self._shelf.put(replace(volume, name=name))

    def delete(self, volume_id: str) -> None:
        """Remove a volume with its files.

        Raises:
            NotFoundError: There is none.
        """
        self.get(volume_id)
        self.forget(volume_id)
        shutil.rmtree(self._files(volume_id), ignore_errors=True)

    def forget(self, volume_id: str) -> None:
        """Forget a volume, and leave its files to whoever asked for that."""
        self._shelf.drop(volume_id)

    # ── files ──

    def place(self, volume_id: str, sub_path: str) -> Path:
        """The folder that a sandbox gets to see, made if missing.

        Raises:
            InvalidError: The sub-path leads out of the volume.
        """
        folder = self.resolve(volume_id, sub_path)
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        return folder

    def resolve(self, volume_id: str, path: str) -> Path:
        """Where a path of a volume lies. Links are followed as far as they stay inside.

        Raises:
            InvalidError: It leads out of the volume.
        """
        root = self._files(self.get(volume_id).id).resolve()
        pure = PurePosixPath("/", path)
        if ".." in pure.parts or "\0" in path:
            raise InvalidError(f"{path!r} leads out of the volume.")
        asked = root.joinpath(*pure.parts[1:])
        if not os.path.lexists(asked):
            asked = root.joinpath(*map(_as_on_disk, pure.parts[1:]))
        found = Path(os.path.realpath(asked))
        if found != root and root not in found.parents:
            raise InvalidError(f"{path!r} leads out of the volume.")
        return found

    def entries(self, volume_id: str, path: str, *, recursive: bool) -> Iterator[VolumeEntry]:
        """What a folder holds, or the file itself.

        Raises:
            NotFoundError: There is nothing at the path.
            InvalidError: It holds folders so deep that no path leads there.
        """
        root = self._files(self.get(volume_id).id).resolve()
        start = self.resolve(volume_id, path)
        if not start.exists():
            raise NotFoundError(f"There is no {path!r} in the volume.")
        if not start.is_dir():
            yield _entry(root, start, start.lstat())
            return
        try:
            for found in _walk(start, recursive=recursive):
                with suppress(FileNotFoundError):  # A job may remove it meanwhile.
                    yield _entry(root, found, found.lstat())
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            raise InvalidError(f"In {path!r} there are folders too deep for any path.") from error

    def file(self, volume_id: str, path: str) -> Path:
        """Where a file of a volume lies.

        Raises:
            NotFoundError: There is none.
            InvalidError: It is no file.
        """
        found = self.resolve(volume_id, path)
        if not found.exists():
            raise NotFoundError(f"There is no {path!r} in the volume.")
        if not found.is_file():
            raise InvalidError(f"{path!r} is no file.")
        return found

    def open(self, volume_id: str, path: str) -> BinaryIO:
        """A file of a volume, to be read.

        A sandbox may put a link in its place at any moment: what was opened is looked at, not what was asked.

        Raises:
            NotFoundError: There is none.
            InvalidError: It is no file, or leads out of the volume.
        """
        found = self.file(volume_id, path)
        try:
            descriptor = os.open(found, _AS_IT_IS)
        except OSError as error:
            raise NotFoundError(f"There is no {path!r} in the volume any more.") from error
        file = cast("BinaryIO", os.fdopen(descriptor, "rb", buffering=0))
        real = Path(f"/proc/self/fd/{descriptor}").readlink()
        root = self._files(volume_id).resolve()
        if root in real.parents and stat.S_ISREG(os.fstat(descriptor).st_mode):
            return file
        file.close()
        raise InvalidError(f"{path!r} is no file of the volume any more.")

    def put(self, volume_id: str, files: Iterable[PutFile], *, overwrite: bool) -> None:
        """Put files, each at once.

        Raises:
            AlreadyExistsError: One exists, and `overwrite` is not set.
            ConflictError: A folder is in the way.
        """
        targets = [(file, self.resolve(volume_id, file.path)) for file in files]
        for file, target in targets:
            if target.is_dir():
                raise ConflictError(f"{file.path!r} is a folder.")
            if target.exists() and not overwrite:
                raise AlreadyExistsError(f"{file.path!r} already exists.")
        for file, target in targets:
            target.parent.mkdir(parents=True, exist_ok=True)
            _write(file, target)

    def remove(self, volume_id: str, path: str, *, recursive: bool) -> None:
        """Remove a file or folder.

        Raises:
            NotFoundError: There is nothing at the path.
            InvalidError: A folder, and `recursive` is not set; or the path leads out of the volume.
        """
        pure = PurePosixPath("/", path)
        if pure.name == "..":  # the parent of the last part is all that `resolve` sees
            raise InvalidError(f"{path!r} leads out of the volume.")
        # The last part is not followed: a link is removed, not what it points to.
        target = (
            self.resolve(volume_id, str(pure.parent)) / pure.name
            if pure.name
            else self.resolve(volume_id, "/")
        )
        if not os.path.lexists(target):
            raise NotFoundError(f"There is no {path!r} in the volume.")
        if target.is_symlink() or not target.is_dir():
            target.unlink()
        elif not recursive:
            raise InvalidError(f"{path!r} is a folder: remove it recursively.")
        elif not pure.name:
            for inside in target.iterdir():
                self.remove(volume_id, inside.name, recursive=True)
        else:
            remove_shared_tree(target)

    def copy(self, volume_id: str, sources: Sequence[str], target: str, *, recursive: bool) -> None:
        """Copy within a volume, as `cp` does.

        Raises:
            NotFoundError: A source does not exist.
            InvalidError: A folder, and `recursive` is not set.
        """
        into = self.resolve(volume_id, target)
        if len(sources) > 1 and not into.is_dir():
            raise InvalidError(f"{target!r} is no folder, so only one file can be copied to it.")
        for source in sources:
            found = self.resolve(volume_id, source)
            if not found.exists():
                raise NotFoundError(f"There is no {source!r} in the volume.")
            place = into / found.name if into.is_dir() else into
            if not found.is_dir():
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(found, place)
            elif recursive:
                shutil.copytree(found, place, symlinks=True, dirs_exist_ok=True)
            else:
                raise InvalidError(f"{source!r} is a folder: copy it recursively.")

    def _files(self, volume_id: str) -> Path:
        return self._folder / volume_id


def _write(file: PutFile, target: Path) -> None:
    draft = target.with_name(f".{secrets.token_hex(8)}")
    try:
        if len(file.pieces) == 1:
            copy_file(file.pieces[0][1], draft)
        else:
            with draft.open("wb") as writes:
                for offset, piece in file.pieces:
                    writes.seek(offset)
                    with piece.open("rb") as reads:
                        shutil.copyfileobj(reads, writes, 1 << 20)
        os.truncate(draft, file.size)
        draft.chmod(file.mode or 0o644)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def _walk(folder: Path, *, recursive: bool) -> Iterator[Path]:
    """What is below a folder, each folder before what it holds; what goes meanwhile is left out."""
    ahead = [folder]
    while ahead:
        found = ahead.pop()
        if found is not folder:
            yield found
        if found is folder or (recursive and found.is_dir() and not found.is_symlink()):
            ahead.extend(sorted(_inside(found), reverse=True))


def _inside(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):  # A job may remove it meanwhile.
        return []


def _as_told(path: str) -> str:
    r"""A path as text can hold it: a byte that is no UTF-8 is written `\xff`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _as_on_disk(name: str) -> str:
    """A name as it was told, with its bytes in their places."""
    return _TOLD_BYTE.sub(lambda byte: os.fsdecode(bytes.fromhex(byte.group(1))), name)


def _entry(root: Path, found: Path, known: os.stat_result) -> VolumeEntry:
    return VolumeEntry(
        path=_as_told(found.relative_to(root).as_posix()),
        kind=_KINDS.get(stat.S_IFMT(known.st_mode), "device"),
        size=known.st_size,
        modified_at=int(known.st_mtime),
    )
