"""What a sandbox on an image's own files needs of the host besides."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from trebuchet.emulator.process.network import files_of_variables, network_variables
from trebuchet.emulator.process.spec import Bind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_NETWORK = (Path("/etc/resolv.conf"), Path("/etc/hosts"))


def binds_for_image(root: Path) -> tuple[Bind, ...]:
    """The host's network settings, and the files at the very top of the image."""
    return (*top_files((root,)), *_network_files(root))


def top_files(layers: Iterable[Path]) -> Iterator[Bind]:
    """The files at the very top of layers, where no overlay is that would show them."""
    for layer in layers:
        for entry in os.scandir(layer):
            if entry.is_file(follow_symlinks=False):
                yield Bind(source=Path(entry.path), target=f"/{entry.name}")


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
