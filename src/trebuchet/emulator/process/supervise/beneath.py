"""Folders in which a sandbox may put a link at any moment: walked by descriptors, no link followed."""

from __future__ import annotations

import contextlib
import os

_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def open_beneath(root: str, path: str, *, make: bool = False) -> int:
    """A descriptor of a folder, as `O_PATH` gives it where there is that.

    Args:
        root: A folder that nobody else can replace.
        path: Relative to it, without `..`; empty or `.` for the root itself.
        make: Whether folders that are missing are made.

    Raises:
        OSError: There is no such folder, or a link is on the way.
    """
    descriptor = os.open(root, _FOLDER)
    for name in path.split("/"):
        if name in {"", "."}:
            continue
        try:
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, 0o755, dir_fd=descriptor)
            inner = os.open(name, _FOLDER, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        descriptor = inner
    return descriptor
