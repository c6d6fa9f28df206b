"""Copies of what a sandbox has written, taken while it runs, that become layers of others.

A running sandbox may put a link in the place of a file at any moment. So all copying is done in a container
that holds the two folders and nothing else worth reading.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
import stat
import subprocess
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from trebuchet.emulator.process.errors import NoFolderError, NotAFolderError, NotRunningError, ProcessError
from trebuchet.emulator.process.removal import remove_tree
from trebuchet.emulator.process.supervise import framing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trebuchet.emulator.process.host import ProcessHost
    from trebuchet.emulator.process.isolation import Isolation

_ASIDE = ".replaced"
_NOT_COPIED = ("proc", "dev", "sys", "run", _ASIDE)
"""What the engine itself puts there."""
_NAME_LENGTH = 32
_LINKS = ("bin", "lib", "lib64")
_LONGEST_REASON = 300
_VANISHED = re.compile(r"cp: .*: No such file or directory")
"""A file that was gone when it was to be copied: as if it had gone a moment before."""


async def copy_written(host: ProcessHost, folder: Path, target: Path) -> None:
    """Copy all that a sandbox has written over its image, as a layer. What changes meanwhile may be torn.

    Args:
        host: Runs the sandbox.
        folder: The sandbox's.
        target: A new folder.

    Raises:
        NotRunningError: It has ended, or ended before it began.
        ProcessError: What it wrote does not lie on disk here, or cannot be copied.
    """
    isolation = await _layering(host)
    root = folder / framing.ROOT
    if (await host.wait_started(folder)).phase != "running":  # before that it has no files
        raise NotRunningError("The sandbox has ended.")
    target.mkdir(mode=0o755)
    names = [entry.name for entry in os.scandir(root) if entry.name not in _NOT_COPIED]
    await _copy(isolation, root, names, target)


async def copy_folder(host: ProcessHost, folder: Path, path: str, target: Path) -> None:
    """Copy a folder as the sandbox sees it: with its layers merged, and its own links followed.

    Args:
        host: Runs the sandbox.
        folder: The sandbox's.
        path: Of the folder, in the sandbox.
        target: A new folder.

    Raises:
        NoFolderError: There is nothing at the path.
        NotAFolderError: There is something else.
        ProcessError: It cannot be copied.
    """
    isolation = await _layering(host)
    name = f".snapshot-{uuid.uuid4().hex}"
    inside, taken = folder / framing.ROOT / name, folder / name
    try:
        await _run_inside(host, folder, _COLLECT, path, f"/{name}", meanings=_NO_FOLDER)
        inside.rename(taken)
        if not stat.S_ISDIR(taken.lstat().st_mode):
            raise ProcessError(f"{path} was replaced while it was copied.")
        target.mkdir(mode=0o755)
        await _copy(isolation, taken, ["."], target)
    finally:
        await asyncio.to_thread(_remove, inside, taken)


async def place_folder(host: ProcessHost, folder: Path, path: str, source: Path | None) -> None:
    """Put a copy of a folder of the host's, or an empty one, in the place of one of a running sandbox's.

    What was there is kept aside, until `take_away` puts it back.

    Raises:
        ProcessError: The place cannot be taken.
    """
    isolation = await _layering(host)
    name = f".mounted-{uuid.uuid4().hex}"
    coming, inside = folder / name, folder / framing.ROOT / name
    try:
        coming.mkdir(mode=0o755)
        if source is not None:
            await _copy(isolation, source, ["."], coming)
        coming.rename(inside)
        await _run_inside(host, folder, _PLACE, path, f"/{name}", aside(path))
    finally:
        await asyncio.to_thread(_remove, inside, coming)


async def take_away(host: ProcessHost, folder: Path, path: str) -> None:
    """Undo `place_folder`.

    Raises:
        ProcessError: Nothing was placed there, or it cannot be undone.
    """
    await _run_inside(host, folder, _RESTORE, path, aside(path))


def aside(path: str) -> str:
    """Where what was at a path is kept meanwhile: under a name that no other path has, however long it is."""
    plain = "/".join(part for part in path.split("/") if part not in {"", "."})
    return f"/{_ASIDE}/{hashlib.sha256(os.fsencode(plain)).hexdigest()[:_NAME_LENGTH]}"


_NO_FOLDER: dict[int, tuple[type[ProcessError], str]] = {
    98: (NoFolderError, "There is no folder {} in the sandbox."),
    99: (NotAFolderError, "{} is not a folder."),
}
"""What exit codes of `_COLLECT` mean."""
_COLLECT = """
[ -e "$0" ] || exit 98
[ -d "$0" ] || exit 99
mkdir "$1" && cp -a "$0/." "$1"
"""
_PLACE = """
mkdir -p "$0" "${2%/*}" &&
if [ -e "$2" ]; then rm -rf "$0"; else mv "$0" "$2"; fi &&
mv "$1" "$0"
"""
_RESTORE = """
if [ ! -e "$1" ]; then echo "nothing is mounted there"; exit 1; fi
rm -rf "$0" && mv "$1" "$0"
"""


async def _layering(host: ProcessHost) -> Isolation:
    isolation = await host.isolation()
    if isolation.mode == "plain" or not isolation.layers_on_disk:
        raise ProcessError("What a sandbox writes is no layer on disk here: see `trebuchet doctor`.")
    return isolation


async def _run_inside(
    host: ProcessHost,
    folder: Path,
    script: str,
    *arguments: str,
    meanings: Mapping[int, tuple[type[ProcessError], str]] | None = None,
) -> None:
    command = await host.exec(folder, ["sh", "-c", script, *arguments], workdir="/")
    state = await host.wait_end(command)
    records, _ = host.read_log(command)
    said = b"".join(record.data for record in records).decode(errors="replace").strip()
    await asyncio.to_thread(shutil.rmtree, command, ignore_errors=True)
    if state.exit_code is not None and state.exit_code in (meanings or {}):
        kind, sentence = (meanings or {})[state.exit_code]
        raise kind(sentence.format(arguments[0]))
    if state.exit_code != 0:
        raise ProcessError(said[:_LONGEST_REASON] or state.message or "The sandbox ended.")


async def _copy(isolation: Isolation, source: Path, names: Sequence[str], target: Path) -> None:
    if not names:
        return
    users = ["--unshare-user", "--uid", "0", "--gid", "0"] if isolation.own_users else []
    links = [word for name in _LINKS for word in _like_the_host(name)]
    argv = [
        *(isolation.program, *users, "--unshare-pid", "--unshare-net", "--die-with-parent"),
        *("--ro-bind", "/usr", "/usr", *links, "--dev", "/dev"),
        *("--ro-bind", str(source), "/from", "--bind", str(target), "/to"),
        *("--", "cp", "-a", "--", *(f"/from/{name}" for name in names), "/to"),
    ]
    environment = {"PATH": os.defpath, "LC_ALL": "C"}
    # In a thread: one that is not awaited to its end, because the engine ends, ends all the same.
    copying = await asyncio.to_thread(
        subprocess.run, argv, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    said = copying.stderr.decode(errors="replace").strip()
    if copying.returncode != 0 and not all(_VANISHED.fullmatch(line) for line in said.splitlines()):
        raise ProcessError(f"The sandbox's files cannot be copied: {said[:_LONGEST_REASON]}")


def _like_the_host(name: str) -> Sequence[str]:
    path = Path("/", name)
    if path.is_symlink():
        return ("--symlink", str(path.readlink()), str(path))
    return ("--ro-bind-try", str(path), str(path))


def _remove(*places: Path) -> None:
    for place in places:
        if place.is_symlink():
            place.unlink()
        elif place.is_dir():
            remove_tree(place)
