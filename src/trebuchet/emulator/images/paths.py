"""Finding places in a folder as if it were the root of a system: nothing leads out of it.

Symbolic links are followed within the folder, absolute ones from its top, and `..` at its top stays there.
Nobody else may change the folder meanwhile: this is a matter of what an archive says, not of races.
"""

from __future__ import annotations

import os
import stat

from trebuchet.emulator.images.errors import UnusableImageError

DEEPEST = 256
"""Levels of folders; what removes trees, here and elsewhere, goes down one call a level."""
_MOST_LINKS = 40


def parts_of(name: str) -> tuple[str, ...]:
    """The components of a name in an archive; none for the root itself.

    Raises:
        UnusableImageError: It climbs.
    """
    parts = tuple(part for part in name.split("/") if part not in {"", "."})
    if ".." in parts:
        raise UnusableImageError(
            f"A layer of the image holds a name that climbs out of its folder: {name!r:.200}."
        )
    return parts


class Inside:
    """The inside of a folder.

    Attributes:
        implied: Folders that were made because something in them was asked for, relative to the top.
    """

    def __init__(self, top: str) -> None:
        self.top = top
        self.implied: set[str] = set()
        self._known: dict[tuple[str, ...], str] = {(): top}

    def folder(self, parts: tuple[str, ...], *, make: bool) -> str:
        """The real path of a folder.

        Raises:
            FileNotFoundError: It is not there, and not to be made.
            UnusableImageError: Something else is in its place, or links lead round and round.
        """
        known = self._known.get(parts)
        if known is None:
            known = self._known[parts] = self._walk(parts, make=make)
        return known

    def forget(self) -> None:
        """A folder or a link to one has gone: find all places anew."""
        self._known = {(): self.top}

    def relative(self, path: str) -> str:
        """A real path as seen from the top."""
        return path[len(self.top) + 1 :]

    def _walk(self, parts: tuple[str, ...], *, make: bool) -> str:
        here = self.top
        ahead = list(reversed(parts))
        links = 0
        while ahead:
            part = ahead.pop()
            if part in {"", "."}:
                continue
            if part == "..":
                here = here if here == self.top else os.path.dirname(here)
                continue
            there = f"{here}/{part}"
            mode = self._mode(there, make=make)
            if stat.S_ISDIR(mode):
                here = there
            elif stat.S_ISLNK(mode) and links < _MOST_LINKS:
                links += 1
                target = os.readlink(there)
                here = self.top if target.startswith("/") else here
                ahead += reversed(target.split("/"))
            else:
                wrong = self.relative(there)
                raise UnusableImageError(
                    f"A layer of the image puts something below {wrong!r:.200}, which is no folder."
                )
        return here

    def _mode(self, path: str, *, make: bool) -> int:
        try:
            return os.lstat(path).st_mode
        except FileNotFoundError:
            if not make:
                raise
        if self.relative(path).count("/") >= DEEPEST:
            raise UnusableImageError(f"A layer of the image has folders more than {DEEPEST} levels deep.")
        os.mkdir(path, 0o755)
        self.implied.add(self.relative(path))
        return stat.S_IFDIR
