"""Removing what a sandbox wrote."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
from typing import TYPE_CHECKING

from trebuchet.emulator.process.cgroups import remove_group
from trebuchet.emulator.process.supervise import framing

if TYPE_CHECKING:
    from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_file_system(folder: Path) -> None:
    """Remove an ended sandbox's root and what overlays left beside it.

    Raises:
        OSError: Something could not be removed.
    """
    for name in (framing.ROOT, framing.WORK):
        if (folder / name).is_dir():
            remove_tree(folder / name)
    remove_group(folder)
    for name in (framing.STDIN, framing.CONTROL):
        (folder / name).unlink(missing_ok=True)


def remove_tree(tree: Path) -> None:
    """Remove a folder with all in it, whatever permissions and however many levels a sandbox left there.

    Raises:
        OSError: Something could not be removed.
    """
    try:
        shutil.rmtree(tree)
    except (PermissionError, RecursionError):  # overlays leave a folder without permissions, and so may a job
        _remove_flattened(tree, mending=True)


def remove_shared_tree(tree: Path) -> None:
    """Remove a folder in which a sandbox may be at work: no link that it puts in the way is followed.

    Raises:
        OSError: Something could not be removed.
    """
    try:
        shutil.rmtree(tree)
    except RecursionError:
        _remove_flattened(tree, mending=False)


def _remove_flattened(tree: Path, *, mending: bool) -> None:
    """Take the folders below out of each other before they are removed, so that no depth is too much.

    Args:
        tree: The folder.
        mending: Whether to give back permissions on the way, which follows links.
    """
    if mending:
        tree.chmod(stat.S_IRWXU)
    top = os.open(tree, _FOLDER)
    try:
        while names := _names_in(top):
            for name in names:
                _remove_one(top, name, mending=mending)
    finally:
        os.close(top)
    tree.rmdir()


def _remove_one(top: int, name: str, *, mending: bool) -> None:
    """Remove a file, or a folder whose own folders are moved up beside it."""
    if mending and stat.S_ISDIR(os.lstat(name, dir_fd=top).st_mode):
        os.chmod(name, stat.S_IRWXU, dir_fd=top)
    try:
        folder = os.open(name, _FOLDER, dir_fd=top)
    except OSError as error:
        if error.errno not in {errno.ENOTDIR, errno.ELOOP}:
            raise
        os.unlink(name, dir_fd=top)
        return
    try:
        with os.scandir(folder) as found:
            inside = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in found]
        for inner, is_folder in inside:
            if not is_folder:
                os.unlink(inner, dir_fd=folder)
                continue
            if mending:  # Who moves a folder must be able to write to it.
                os.chmod(inner, stat.S_IRWXU, dir_fd=folder)
            os.rename(inner, f".{secrets.token_hex(8)}", src_dir_fd=folder, dst_dir_fd=top)
        os.rmdir(name, dir_fd=top)
    finally:
        os.close(folder)


def _names_in(folder: int) -> list[str]:
    with os.scandir(folder) as found:
        return [entry.name for entry in found]
