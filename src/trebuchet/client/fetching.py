"""A file or folder on its way out of a job: packed there, unpacked here, in one stream."""

from __future__ import annotations

import shutil
import stat
import tarfile
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO

from trebuchet.client.beside import Beside, Pipe
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
    for one; do echo "note: ${{one#./}} {_LEFT_OUT}" >&2; done' sh {{}} +
  find -L "./$2" \\( -type f -o -type d \\) -print0 | tar --null --no-recursion -chf - -T -
else
  exec tar -chf - -- "./$2"
fi
"""
"""A link to nothing makes `tar` fail, and a pipe is nothing that could be copied. Other tools than GNU's take
no list of names with line ends in them."""


def fetch(within: Within, place: PurePosixPath, target: Path | str, tell: Callable[[str], None]) -> None:
    """As `Inside.fetch`; `place` is absolute."""
    into_folder = str(target).endswith("/") or Path(target).is_dir()
    goal = Path(target, place.name) if into_folder else Path(target)
    _refuse_what_is_no_file(goal)
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


def _refuse_what_is_no_file(goal: Path) -> None:
    """Leave devices and pipes alone: the mode and the time of what is copied are given to what is there."""
    with suppress(FileNotFoundError):
        mode = goal.stat().st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise UsageError(f"{goal} is there, and is neither a file nor a folder.")


def _unpack(stream: BinaryIO, name: str, target: Path, tell: Callable[[str], None]) -> None:
    """Unpack what is packed under a name, under another; nothing lands outside of it.

    Raises:
        ControlPlaneError: What came is no archive of this, or would land elsewhere.
    """
    came = False
    try:
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                came = True
                _unpack_one(archive, member, (name, target), tell)
    except tarfile.TarError as error:
        if came or not isinstance(error, tarfile.ReadError):
            raise ControlPlaneError(f"What the job sent as {name!r} cannot be unpacked: {error}.") from error
        # Nothing came: the command's exit code says why.


def _unpack_one(
    archive: tarfile.TarFile, member: tarfile.TarInfo, where: tuple[str, Path], tell: Callable[[str], None]
) -> None:
    name, target = where
    place = _place_of(member.name, name, target)
    if place == target:
        place.parent.mkdir(parents=True, exist_ok=True)
    if member.islnk():  # Another name of a file that came before; a stream cannot be read twice.
        shutil.copy2(_place_of(member.linkname, name, target), place, follow_symlinks=False)
    elif member.ischr() or member.isblk() or member.isfifo():
        tell(f"{member.name} {_LEFT_OUT}")
    else:
        archive.extract(member.replace(name=place.name), path=place.parent, filter="data")


def _place_of(packed: str, name: str, target: Path) -> Path:
    """Where something packed under a name goes."""
    path = PurePosixPath(packed)
    if ".." in path.parts or path.parts[:1] != (name,):
        raise ControlPlaneError(f"What the job sent holds {packed!r}, which is not part of {name!r}.")
    return target / path.relative_to(name)
