"""Removing what a sandbox wrote."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from trebuchet.emulator.process.cgroups import remove_group
from trebuchet.emulator.process.supervise import framing

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_file_system(folder: Path) -> None:
    """Remove an ended sandbox's root, its device nodes and what overlays left beside it.

    Raises:
        OSError: Something could not be removed.
    """
    for name in (framing.ROOT, framing.WORK, framing.NODES):
        if (folder / name).is_dir():
            remove_tree(folder / name)
    remove_group(folder)
    for name in (framing.STDIN, framing.CONTROL):
        (folder / name).unlink(missing_ok=True)


def remove_tree(tree: Path) -> None:
    """Remove a folder with all in it, whatever permissions a sandbox left there and however deep it is.

    Raises:
        OSError: Something could not be removed.
    """
    remove_at(str(tree))


def remove_at(name: str, parent: int | None = None) -> None:
    """Remove a folder with all in it; no link is followed, whoever puts one there meanwhile.

    Args:
        name: The folder.
        parent: A descriptor of the folder it is in; None where `name` is a whole path.

    Raises:
        OSError: Something could not be removed.
    """
    top = _open(name, parent)
    try:
        # What is deep down is moved to the top rather than gone after: a sandbox may nest folders as deep as
        # it likes, deeper than a path, the stack or the open files of a process reach.
        mark, waiting, moved = f".{secrets.token_hex(8)}-", [""], 0
        while waiting:
            folder = waiting.pop()
            descriptor = _open(folder, top) if folder else top
            try:
                for entry in os.listdir(descriptor):  # noqa: PTH208 - of a descriptor
                    if _is_folder(entry, descriptor):
                        moved += 1
                        _move(entry, descriptor, f"{mark}{moved}", top)
                        waiting.append(f"{mark}{moved}")
                    else:
                        os.unlink(entry, dir_fd=descriptor)
            finally:
                if folder:
                    os.close(descriptor)
            if folder:
                os.rmdir(folder, dir_fd=top)
    finally:
        os.close(top)
    os.rmdir(name, dir_fd=parent)


def _open(name: str, parent: int | None) -> int:
    """Open a folder to empty it. Overlays leave one without permissions, and so may a job."""
    try:
        descriptor = os.open(name, _FOLDER, dir_fd=parent)
    except PermissionError:
        _open_up(name, parent)
        descriptor = os.open(name, _FOLDER, dir_fd=parent)
    if os.fstat(descriptor).st_mode & stat.S_IRWXU != stat.S_IRWXU:
        os.fchmod(descriptor, stat.S_IRWXU)
    return descriptor


def _open_up(name: str, parent: int | None) -> None:
    if not hasattr(os, "O_PATH"):
        os.chmod(name, stat.S_IRWXU, dir_fd=parent, follow_symlinks=False)
        return
    # Linux changes no mode without following links, but for what is open.
    descriptor = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        Path(f"/proc/self/fd/{descriptor}").chmod(stat.S_IRWXU)
    finally:
        os.close(descriptor)


def _is_folder(name: str, parent: int) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)


def _move(name: str, parent: int, new_name: str, top: int) -> None:
    os.close(_open(name, parent))  # a folder is moved by who may write to it
    os.rename(name, new_name, src_dir_fd=parent, dst_dir_fd=top)
