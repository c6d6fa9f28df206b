"""Which device nodes a sandbox gets of its own, where its root is the machine's.

Such a root could change the permissions and the owner of the machine's own: bubblewrap shows these as they
are, and where it mounts one read-only, that one cannot be opened any more.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from trebuchet.emulator.process.supervise import framing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trebuchet.emulator.process.spec import Bind

Node = tuple[str, int, int]
"""A path below the folder of nodes, the kind with the permissions, the device number."""

_SHOWN_BY_BUBBLEWRAP = ("null", "zero", "full", "random", "urandom", "tty")


def can_make_nodes(folder: Path) -> bool:
    """Whether a node that is made there is one that can be used."""
    node = folder / "null"
    try:
        os.mknod(node, stat.S_IFCHR | 0o666, Path(os.devnull).stat().st_rdev)
        os.close(os.open(node, os.O_RDWR | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def own_nodes(
    devices: Sequence[Bind], shown: Path = Path("/dev")
) -> tuple[list[Node], list[tuple[str, str]]]:
    """The nodes to make for a sandbox, and what of them is to show where: path below their folder, target.

    Args:
        devices: Those that it gets beyond what every sandbox has: nodes, or folders of nodes.
        shown: Where the machine has the others.
    """
    nodes: list[Node] = []
    binds: list[tuple[str, str]] = []
    usual = ((shown / name, f"/dev/{name}") for name in _SHOWN_BY_BUBBLEWRAP)
    for source, target in (*usual, *((device.source, device.target) for device in devices)):
        found = list(_copies(source))
        if found:
            nodes += found
            binds.append((f"{framing.NODES}/{source.name}", target))
    return nodes, binds


def _copies(source: Path) -> Iterator[Node]:
    """What stands for a node, or for all that are in a folder."""
    within = sorted(source.iterdir()) if source.is_dir() else [source]
    for path in within:
        if path.is_char_device():
            known = path.stat()
            yield str(path.relative_to(source.parent)), known.st_mode, known.st_rdev
