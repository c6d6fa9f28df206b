"""What a sandbox on an image's own files needs of the host besides."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from trebuchet.emulator.disk import make_private_folder
from trebuchet.emulator.process.network import files_of_variables, network_variables
from trebuchet.emulator.process.spec import Bind
from trebuchet.emulator.process.supervise import framing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_NETWORK = (Path("/etc/resolv.conf"), Path("/etc/hosts"))


def binds_for_image(root: Path) -> tuple[Bind, ...]:
    """The host's network settings."""
    return tuple(_network_files(root))


def place_top_files(layers: Iterable[Path], folder: Path) -> None:
    """Copy the files at the very top of layers to where a sandbox writes.

    No overlay is at the top that would show them; and what is a sandbox's own it can change, and leaves whole
    in what is copied of it.

    Args:
        layers: Lowest first.
        folder: That of the sandbox's process, which has not been started yet.

    Raises:
        OSError: The disk is full.
    """
    for layer in layers:
        for entry in os.scandir(layer):
            if entry.is_file(follow_symlinks=False):
                root = make_private_folder(folder) / framing.ROOT
                root.mkdir(exist_ok=True)
                root.chmod(0o755)  # whatever the mask: the sandbox's users go through it
                shutil.copy2(entry.path, root / entry.name)
                if os.geteuid() == 0:
                    known = entry.stat(follow_symlinks=False)
                    os.chown(root / entry.name, known.st_uid, known.st_gid)


def _network_files(root: Path) -> Iterator[Bind]:
    for path in (*_NETWORK, *files_of_variables(network_variables(os.environ))):
        if path.is_file() and _takes_a_file(root, path):
            yield Bind(source=path.resolve(), target=str(path))


def _takes_a_file(root: Path, path: Path) -> bool:
    """Whether the image has a plain file there or nothing, and no link on the way that leads elsewhere."""
    here = root
    for part in path.parts[1:]:
        here = here / part
        try:
            mode = here.lstat().st_mode
        except FileNotFoundError:
            return True
        if stat.S_ISLNK(mode):
            return False
    return here.is_file()
