"""What a sandbox has on disk: in its folders, in its logs, and in files without a name that it holds open."""

from __future__ import annotations

import os
import stat

from trebuchet.emulator.process.supervise import framing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_BLOCK = 512
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_DEEPEST = 4_000
"""So many folders within each other are looked into: each takes a descriptor meanwhile."""


def written(folder: str) -> int:
    """Bytes on disk below a folder, as far as it can be read: however long a path is, and past no link."""
    total = 0
    levels: list[tuple[int, list[str]]] = []  # an open folder, and those in it that are yet to be looked into
    opened = _open(folder, None)
    try:
        while opened >= 0 or levels:
            if opened >= 0:
                size, within = _look_into(opened)
                total += size
                levels.append((opened, within))
                opened = -1
            parent, waiting = levels[-1]
            if waiting and len(levels) < _DEEPEST:
                opened = _open(waiting.pop(), parent)
            else:
                os.close(levels.pop()[0])
    finally:
        for descriptor, _ in levels:
            os.close(descriptor)
    return total


def logged() -> int:
    """Bytes on disk of what was recorded of the sandbox's output, and of each command's begun in it later."""
    total = _size_of(framing.LOG)
    try:
        execs = os.listdir(framing.EXECS)
    except OSError:  # there was none
        return total
    return total + sum(_size_of(os.path.join(framing.EXECS, name, framing.LOG)) for name in execs)


def held_open(pids: Iterable[int]) -> int:
    """Bytes on disk of deleted files that these processes have open."""
    devices: set[int] = {os.stat(".").st_dev}
    found: dict[tuple[int, int], int] = {}
    for pid in pids:
        devices |= _overlays(pid)
        for known in _open_files(pid):
            if stat.S_ISREG(known.st_mode) and known.st_nlink == 0 and known.st_dev in devices:
                found[known.st_dev, known.st_ino] = known.st_blocks * _BLOCK
    return sum(found.values())


def _open(name: str, parent: int | None) -> int:
    """A folder's descriptor; -1 where it went away meanwhile, is closed to us or has become a link."""
    try:
        return os.open(name, _FOLDER, dir_fd=parent)
    except OSError:
        return -1


def _look_into(folder: int) -> tuple[int, list[str]]:
    """Bytes on disk of what is in an open folder, and the folders in it."""
    total, folders = 0, list[str]()
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    total += entry.stat(follow_symlinks=False).st_blocks * _BLOCK
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.name)
                except OSError:  # it went away meanwhile
                    continue
    except OSError:
        pass
    return total, folders


def _size_of(path: str) -> int:
    try:
        return os.stat(path, follow_symlinks=False).st_blocks * _BLOCK
    except OSError:
        return 0


def _overlays(pid: int) -> set[int]:
    """The devices of the overlays that a process sees."""
    try:
        with open(f"/proc/{pid}/mountinfo", encoding="utf-8", errors="replace") as file:
            mounts = [line.split() for line in file if " - overlay " in line]
    except OSError:
        return set()
    return {os.makedev(*map(int, mount[2].split(":"))) for mount in mounts}


def _open_files(pid: int) -> Iterator[os.stat_result]:
    folder = f"/proc/{pid}/fd"
    try:
        names = os.listdir(folder)
    except OSError:  # it has just gone
        return
    for name in names:
        try:
            yield os.stat(f"{folder}/{name}")
        except OSError:
            continue
