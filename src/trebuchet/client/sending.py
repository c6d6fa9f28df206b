"""A file or folder on its way into a job: packed here, unpacked there, in one stream."""

from __future__ import annotations

import os
import stat
import tarfile
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, cast

from trebuchet.client.beside import Beside, Pipe
from trebuchet.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path, PurePosixPath

    from trebuchet.client.beside import Within

_IS_FOLDER = ("sh", "-c", '[ -d "$1" ]', "sh")
_UNPACK = """
[ -n "$3" ] || [ ! -d "$1/$2" ] || { echo "$1/$2 is a folder." >&2; exit 1; }
mkdir -p -- "$1" && exec tar -C "$1" -xf -
"""
"""A folder that is empty would make room for a file."""


def send(
    within: Within, source: Path, target: PurePosixPath, tell: Callable[[str], None], *, is_folder: bool
) -> None:
    """As `Inside.send`; `target` is absolute."""
    _need_something(source)
    into_folder = is_folder or within.run((*_IS_FOLDER, str(target))) == 0
    # What is in `.` or `..` goes into the folder itself, as with `cp`.
    place = target / (source.name if source.name != ".." else "") if into_folder else target
    what = "folder" if source.is_dir() else ""
    argv = ("sh", "-c", _UNPACK, "sh", str(place.parent), place.name, what)
    with Pipe() as (reads, writes):
        unpacking = Beside(lambda: within.run(argv, stdin=reads), lambda: _drain(reads))
        sink = cast("BinaryIO", _Sink(writes, unpacking))
        try:
            with suppress(_OverError), tarfile.open(fileobj=sink, mode="w|") as archive:
                _Packing(archive, tell).add(source, place.name or ".", source)
        except BaseException:
            writes.close()
            unpacking.give_up()
            raise
        writes.close()
        unpacking.check(f"{source} cannot be copied into {within.job_name}.")


def _need_something(source: Path) -> None:
    if not source.exists():
        raise UsageError(f"{source} leads nowhere." if source.is_symlink() else f"There is no {source}.")
    if not (source.is_dir() or source.is_file()):
        raise UsageError(f"{source} is neither a file nor a folder.")


class _OverError(Exception):
    """Nobody takes what is written any more."""


class _Sink:
    """The pipe to a command, for as long as the command is there."""

    def __init__(self, writes: BinaryIO, command: Beside) -> None:
        self._writes = writes
        self._command = command

    def write(self, data: bytes) -> int:
        rest = memoryview(data)
        while rest:
            if self._command.is_over:
                raise _OverError
            rest = rest[self._writes.write(rest) :]
        return len(data)


def _drain(reads: BinaryIO) -> None:
    """Let whoever writes into a pipe that nobody reads any more get on, to see that it is so."""
    while os.read(reads.fileno(), 1 << 16):
        pass


@dataclass(frozen=True)
class _Packing:
    """Puts files into an archive, as root's, whoever has them here."""

    archive: tarfile.TarFile
    tell: Callable[[str], None]

    def add(self, path: Path, name: str, root: Path, above: frozenset[str] = frozenset()) -> None:
        """Pack a file, or a folder with all that is in it; where this is a link, what it leads to.

        Args:
            path: What.
            name: In the archive.
            root: The folder that is copied as a whole: a link that leads elsewhere is followed.
            above: The folders it is in, as they are without links.
        """
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):
            with path.open("rb") as file:
                self.archive.addfile(_of_root(self.archive.gettarinfo(arcname=name, fileobj=file)), file)
        elif stat.S_ISDIR(mode):
            self._add_folder(path, name, root, above)
        else:
            self.tell(f"{path} is left out: it is neither a file nor a folder")

    def _add_folder(self, path: Path, name: str, root: Path, above: frozenset[str]) -> None:
        real = os.path.realpath(path)
        if real in above:
            self.tell(f"{path} is left out: it leads to a folder that it is in")
            return
        self.archive.addfile(_of_root(self.archive.gettarinfo(real, arcname=name)))
        for child in sorted(path.iterdir()):
            child_name = f"{name}/{child.name}"
            if not child.is_symlink():
                self.add(child, child_name, root, above | {real})
            elif not child.exists():
                self.tell(f"{child} is left out: it leads nowhere")
            elif (aim := _aim_within(child, root)) is not None:
                link = _of_root(self.archive.gettarinfo(str(child), arcname=child_name))
                link.linkname = aim
                self.archive.addfile(link)
            else:
                self.add(child, child_name, child, above | {real})


def _of_root(entry: tarfile.TarInfo | None) -> tarfile.TarInfo:
    assert entry is not None  # noqa: S101 - for the type checker: it is so for sockets alone
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def _aim_within(link: Path, root: Path) -> str | None:
    """Where a link leads, relative to its place, if that is in the same folder; None if it is not."""
    real, real_root = os.path.realpath(link), os.path.realpath(root)
    if os.path.commonpath([real, real_root]) != real_root:
        return None
    text = link.readlink()
    stays = not os.path.normpath(link.parent.relative_to(root) / text).startswith(("/", ".."))
    return str(text) if stays else os.path.relpath(real, os.path.realpath(link.parent))
