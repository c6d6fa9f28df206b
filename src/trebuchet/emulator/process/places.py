"""Where a path leads in a sandbox that is yet to be.

bubblewrap makes the place of a mount while the host's root is still in sight, and follows whatever link it
meets: one that an image, a snapshot or a volume holds could lead it out there. So it is told of places
that no link is on the way to.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from trebuchet.emulator.process.errors import CannotStartError
from trebuchet.emulator.process.overlay import is_opaque

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from trebuchet.emulator.process.spec import Bind

_MOST_LINKS = 40
"""After so many the kernel gives up too."""


class Places:
    """What lies where: overlays, links at the top, and what is mounted over them one after another."""

    def __init__(self, overlays: Mapping[str, Sequence[Path]], links: Mapping[str, str]) -> None:
        """Know what is there to begin with.

        Args:
            overlays: Path without a leading slash -> its lower layers, lowest first.
            links: Likewise -> where a link points.
        """
        self._overlays = overlays
        self._links = links
        self._mounts: list[tuple[str, Bind]] = []

    def real(self, path: str) -> str:
        """Where a path leads, its links followed as they are followed inside.

        Raises:
            CannotStartError: In a circle, or it is no path.
        """
        if "\0" in path:
            raise CannotStartError("A path in a sandbox holds no NUL byte.")
        ahead, here, links = path.split("/")[::-1], list[str](), 0
        while ahead:
            name = ahead.pop()
            if name == "..":
                del here[-1:]
            elif name not in {"", "."}:
                aim = self._aim([*here, name])
                if aim is None:
                    here.append(name)
                    continue
                links += 1
                if links > _MOST_LINKS:
                    raise CannotStartError(f"The links on the way to {path} lead in a circle.")
                here = [] if aim.startswith("/") else here
                ahead += aim.split("/")[::-1]
        return "/" + "/".join(here)

    def cover(self, place: str, bind: Bind) -> None:
        """Note that something of the host's is mounted at a place that `real` gave."""
        self._mounts.append((place.strip("/"), bind))

    def mount_of(self, place: str) -> tuple[Bind, str] | None:
        """What is mounted around a place that `real` gave, and the way from there; None in the overlays."""
        path = place.strip("/")
        for name, bind in reversed(self._mounts):
            if path == name or path.startswith(f"{name}/"):
                return bind, path[len(name) + 1 :]
        return None

    def _aim(self, parts: list[str]) -> str | None:
        """Where the link points that is at a path whose folder was found; None for anything but a link."""
        path = "/".join(parts)
        mounted = self.mount_of(path)
        if mounted is not None:
            bind, rest = mounted
            return _read_link(bind.source / rest) if rest else None
        if path in self._links:
            return self._links[path]
        for depth in range(len(parts) - 1, 0, -1):
            layers = self._overlays.get("/".join(parts[:depth]))
            if layers is not None:
                return _layered_link(layers, parts[depth:])
        return None


def _read_link(path: Path) -> str | None:
    try:
        return str(path.readlink())
    except OSError:
        return None


def _layered_link(layers: Sequence[Path], parts: Sequence[str]) -> str | None:
    """What an overlay shows at a path, if that is a link: a layer hides what those below it have there."""
    folders = list(reversed(layers))
    for part in parts[:-1]:
        folders = _step(folders, part)
    for folder in folders:
        place = folder / parts[-1]
        if os.path.lexists(place):
            return _read_link(place)
    return None


def _step(folders: Sequence[Path], name: str) -> list[Path]:
    """The folders of a name that an overlay merges, the topmost first."""
    found: list[Path] = []
    for folder in folders:
        place = folder / name
        try:
            mode = place.lstat().st_mode
        except OSError:
            continue
        if not stat.S_ISDIR(mode):
            break
        found.append(place)
        if is_opaque(place):
            break
    return found
