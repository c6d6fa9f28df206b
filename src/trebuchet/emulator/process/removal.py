"""Removing what a sandbox wrote."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

from trebuchet.emulator.process.cgroups import remove_group
from trebuchet.emulator.process.supervise import framing


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
    """Remove a folder with all in it, whatever permissions a sandbox left there.

    Raises:
        OSError: Something could not be removed.
    """
    try:
        shutil.rmtree(tree)
    except PermissionError:  # overlays leave a folder without permissions, and so may a job
        _give_back_permissions(tree)
        shutil.rmtree(tree)


def _give_back_permissions(tree: Path) -> None:
    tree.chmod(stat.S_IRWXU)
    for parent, folders, _ in os.walk(tree):
        for name in folders:
            folder = Path(parent, name)
            if not folder.is_symlink():
                folder.chmod(stat.S_IRWXU)
