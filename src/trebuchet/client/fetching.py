"""A file or folder on its way out of a job: packed there, unpacked here, in one stream."""

from __future__ import annotations

import shutil
import stat
import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO

from trebuchet.client.beside import Beside, Pipe
from trebuchet.client.targets import refuse_what_is_no_file
from trebuchet.errors import ControlPlaneError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from trebuchet.client.beside import Within

_LEFT_OUT = "is left out: it is neither a file nor a folder, nor a link to one"

_PACK = f"""
cd -- "$1" || exit
[ -e "./$2" ] || {{ echo "There is no $1/$2." >&2; exit 1; }}
if tar --version 2>/dev/null | grep -q GNU && command -v find >/dev/null; then
  find -L "./$2" ! -type f ! -type d -exec sh -c '
    for one; do
      {{ printf "note: %s {_LEFT_OUT}" "${{one#./}}" | tr "\\000-\\037\\177" "?"; echo; }} >&2
    done' sh {{}} +
  find -L "./$2" \\( -type f -o -type d \\) -print0 | tar --null --no-recursion -chf - -T -
else
  exec tar -chf - -- "./$2"
fi
"""
"""A link to nothing makes `tar` fail, and a pipe is nothing that could be copied. Other tools than GNU's take
no list of names with line ends in them. A name may hold what a terminal would obey."""


def fetch(within: Within, place: PurePosixPath, target: Path | str, tell: Callable[[str], None]) -> None:
    """As `Inside.fetch`; `place` is absolute."""
    into_folder = str(target).endswith("/") or Path(target).is_dir()
    goal = Path(target, place.name) if into_folder else Path(target)
    refuse_what_is_no_file(goal)
    argv = ("bash", "-o", "pipefail", "-c", _PACK, "bash", str(place.parent), place.name)
    with Pipe() as (reads, writes):
        packing = Beside(lambda: within.run(argv, stdout=writes), writes.close)
        try:
            _unpack(reads, place.name, goal, tell)
        except BaseException:
            reads.close()  # Whoever writes learns of it, and ends the command.
            packing.give_up()
            raise
        packing.check(f"{place} cannot be copied out of {within.job_name}.")


def _unpack(stream: BinaryIO, name: str, target: Path, tell: Callable[[str], None]) -> None:
    """Unpack what is packed under a name, under another; nothing lands outside of it.

    Raises:
        ControlPlaneError: What came is no archive of this, or would land elsewhere.
    """
    came = False
    unpacking = _Unpacking(name, target, tell)
    try:
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                came = True
                unpacking.add(archive, member)
    except tarfile.TarError as error:
        if came or not isinstance(error, tarfile.ReadError):
            raise _unfit(name, str(error)) from error
        # Nothing came: the command's exit code says why.


@dataclass(frozen=True)
class _Unpacking:
    """Puts what a job packed below one place here, whatever the job packed: it may lie.

    Attributes:
        name: What all of it is packed under.
        target: What takes the place of that name.
        tell: Is told of what is left out.
    """

    name: str
    target: Path
    tell: Callable[[str], None]

    def add(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        """Unpack one member.

        Raises:
            ControlPlaneError: It would land elsewhere, or could let another one do so.
        """
        place = self._place_of(member.name)
        if member.issym():  # Links are followed where this is packed, so an honest archive has none.
            raise _unfit(self.name, f"it holds a link, {member.name!r}")
        if place == self.target:
            place.parent.mkdir(parents=True, exist_ok=True)
        if member.islnk():
            self._add_again(member, place)
        elif member.isreg():
            self._make_room(place)
            archive.extract(member.replace(name=place.name), path=place.parent, filter="data")
        elif member.isdir():
            _refuse_link(place)
            archive.extract(member.replace(name=place.name), path=place.parent, filter="data")
        else:
            self.tell(f"{member.name} {_LEFT_OUT}")

    def _add_again(self, member: tarfile.TarInfo, place: Path) -> None:
        """Another name of a file that came before; a stream cannot be read twice."""
        source = self._place_of(member.linkname)
        if not _is_file(source):
            raise _unfit(self.name, f"it holds another name of {member.linkname!r}, which is no file in it")
        if source != place:
            self._make_room(place)
            shutil.copy2(source, place, follow_symlinks=False)

    def _place_of(self, packed: str) -> Path:
        """Where something goes, on a way without links.

        Raises:
            ControlPlaneError: It would land elsewhere.
            UsageError: A folder on the way there is a link.
        """
        path = PurePosixPath(packed)
        if ".." in path.parts or path.parts[:1] != (self.name,) or "\0" in packed:
            raise _unfit(self.name, f"it holds {packed!r}, which is not part of it")
        place, *above = (self.target.joinpath(*path.parts[1:end]) for end in range(len(path.parts), 0, -1))
        for folder in above:
            _refuse_link(folder)
        return place

    def _make_room(self, place: Path) -> None:
        """A file takes the place of another, or of a link, without writing through it."""
        place.parent.mkdir(parents=True, exist_ok=True)
        refuse_what_is_no_file(place)
        if not place.is_dir():
            place.unlink(missing_ok=True)


def _unfit(name: str, why: str) -> ControlPlaneError:
    return ControlPlaneError(f"What the job sent as {name!r} cannot be unpacked: {why}.")


def _refuse_link(folder: Path) -> None:
    if folder.is_symlink():
        raise UsageError(f"{folder} is a link, which is not followed.", hint="Name the folder it leads to.")


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
