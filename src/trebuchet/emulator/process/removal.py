"""Removing what a sandbox wrote."""

from __future__ import annotations

import os
import shutil
import stat
from typing import TYPE_CHECKING

from trebuchet.emulator.process.supervise import framing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def remove_file_system(folder: Path) -> None:
    """Remove an ended sandbox's root and what overlays left beside it.

    A job may have taken all permissions from a folder, and overlays do so with one of theirs: they are given back.

    Raises:
        OSError: Something could not be removed all the same.
    """
    for name in (framing.ROOT, framing.WORK):
        if (folder / name).is_dir():
            shutil.rmtree(folder / name, onerror=_give_back_and_retry)
    for name in (framing.STDIN, framing.CONTROL):
        (folder / name).unlink(missing_ok=True)


def _give_back_and_retry(function: Callable[..., object], path: str, _: object) -> None:
    parent = os.path.dirname(path)
    os.chmod(parent, stat.S_IRWXU)
    if not os.path.islink(path) and os.path.isdir(path):
        os.chmod(path, stat.S_IRWXU)
        shutil.rmtree(path, onerror=_raise)
    else:
        os.unlink(path)


def _raise(function: Callable[..., object], path: str, error: tuple[type, OSError, object]) -> None:
    raise error[1]
