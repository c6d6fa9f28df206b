"""Device nodes of a sandbox's own."""

from __future__ import annotations

import contextlib
import os
import stat

from trebuchet.emulator.process.supervise import framing


def make_nodes(nodes: list[tuple[str, int, int]], folder: str = framing.NODES) -> None:
    """Make them.

    Args:
        nodes: The path of each below their folder, its kind with its permissions, and its device number.
        folder: Theirs, made if need be.

    Raises:
        OSError: One cannot be made.
    """
    for path, mode, number in nodes:
        place = os.path.join(folder, path)
        os.makedirs(os.path.dirname(place), mode=0o755, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.mknod(place, mode, number)
            os.chmod(place, stat.S_IMODE(mode))  # what the process's mask has taken off
