"""Many small files, and what the SDK cannot send, in a few archives that the job's wrapper unpacks.

The SDK sends each file by a call of its own, which for twenty thousand of them takes minutes; and it sends
files alone, no folders without any and no links. An archive goes by its content like any other file: what has
not changed is not sent again, and a change costs the archive that it is in.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import tempfile
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from trebuchet.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from trebuchet.sandbox import Upload
    from trebuchet.uploads import LocalFile, Manifest

PLACE = "/root/.trebuchet/packs"
"""Where the archives arrive; the wrapper looks for them there."""

MANY = 256
"""More small files than these are packed."""

_SMALL = 256 * 1024
_FULL = 3_500_000
"""Bytes of an archive: a little less than what the SDK sends within one call (4 MiB)."""

_CUT_FROM = _FULL // 4
_CUTS_ONE_IN = 64
"""An archive may also end behind a file whose name says so: a new file then shifts few that follow."""


@contextmanager
def packed(files: Sequence[Upload], manifests: Sequence[Manifest]) -> Generator[Path | None]:
    """A folder with the archives of some uploads for as long as the block runs; None where nothing is packed.

    Raises:
        UsageError: A file went away, or there is no room for the archives.
    """
    todo = [
        (file, manifest) for file, manifest in zip(files, manifests, strict=True) if _worth_it(file, manifest)
    ]
    if not todo:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="trebuchet-packs-") as name:
        folder = Path(name)
        try:
            for number, (file, manifest) in enumerate(todo):
                _Packer(folder, f"{number:03}", file.target).pack(manifest, small_files(file, manifest))
        except OSError as error:
            what = error.filename or folder
            raise UsageError(f"{what} cannot be packed for its way: {error.strerror}.") from error
        yield folder


def small_files(file: Upload, manifest: Manifest) -> set[str]:
    """The paths that travel in an archive."""
    if file.role == "credential" or not manifest.source.is_dir():
        return set()
    small = {path for path, one in manifest.files.items() if one.size <= _SMALL}
    return small if len(small) > MANY else set()


def files_in(arrived: str) -> int:
    """How many files one that arrives at this place stands for: itself, or those of an archive."""
    name = PurePosixPath(arrived)
    return int(name.stem.rpartition("-")[2]) if str(name.parent) == PLACE else 1


def _worth_it(file: Upload, manifest: Manifest) -> bool:
    return bool(manifest.folders or manifest.links or small_files(file, manifest))


class _Packer:
    """Writes the archives of one upload: the same bytes for the same tree, whoever packs it and when."""

    def __init__(self, folder: Path, name: str, target: str) -> None:
        self._folder = folder
        self._name = name
        self._target = PurePosixPath(target.lstrip("/"))
        self._count = 0

    def pack(self, manifest: Manifest, small: set[str]) -> None:
        for group in _groups([manifest.files[path] for path in sorted(small)]):
            with self._archive(len(group)) as archive:
                for file in group:
                    data = _read(manifest.source / file.path)
                    member = self._member(file.path, file.mode)
                    member.size = len(data)
                    archive.addfile(member, io.BytesIO(data))
        if manifest.folders or manifest.links:
            with self._archive(0) as archive:  # the last: nothing is unpacked through a link
                for path, mode in sorted(manifest.folders.items()):
                    member = self._member(path, mode)
                    member.type = tarfile.DIRTYPE
                    archive.addfile(member)
                for path, target in sorted(manifest.links.items()):
                    member = self._member(path, 0o777)
                    member.type, member.linkname = tarfile.SYMTYPE, target
                    archive.addfile(member)

    def _archive(self, files: int) -> tarfile.TarFile:
        path = self._folder / f"{self._name}-{self._count:05}-{files}.tar"
        self._count += 1
        return tarfile.open(path, "w", format=tarfile.GNU_FORMAT, encoding="utf-8")

    def _member(self, path: str, mode: int) -> tarfile.TarInfo:
        member = tarfile.TarInfo(str(self._target / path))
        member.mode = mode
        return member


def _read(path: Path) -> bytes:
    """What a small file holds, by as few calls of the kernel as can be: twenty thousand times it matters."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        pieces = [os.read(descriptor, _SMALL + 1)]
        while len(pieces[-1]) > _SMALL:  # it has grown since it was counted
            pieces.append(os.read(descriptor, _SMALL + 1))
        return b"".join(pieces)
    finally:
        os.close(descriptor)


def _groups(files: Sequence[LocalFile]) -> Iterator[list[LocalFile]]:
    group: list[LocalFile] = []
    size = 0
    for file in files:
        length = file.size + 2 * tarfile.BLOCKSIZE  # with its header, and what fills its last block
        if group and size + length > _FULL:
            yield group
            group, size = [], 0
        group.append(file)
        size += length
        if size > _CUT_FROM and _ends_an_archive(file.path):
            yield group
            group, size = [], 0
    if group:
        yield group


def _ends_an_archive(path: str) -> bool:
    return hashlib.blake2b(path.encode(), digest_size=2).digest()[0] % _CUTS_ONE_IN == 0
