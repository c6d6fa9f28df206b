"""Names under which images were published, each within its environment."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trebuchet.emulator.world.errors import InvalidError, NotFoundError
from trebuchet.emulator.world.ids import id_of
from trebuchet.emulator.world.shelf import Shelf

if TYPE_CHECKING:
    from pathlib import Path

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}:[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True, kw_only=True)
class ImageName:
    """A name, its tag included, and what it means."""

    id: str
    name: str
    environment: str
    image_id: str


class ImageNames:
    """All such names of this engine."""

    def __init__(self, folder: Path) -> None:
        self._shelf = Shelf(folder, ImageName, "Image name")

    def publish(self, name: str, environment: str, image_id: str) -> None:
        """Let a name mean an image from now on.

        Raises:
            InvalidError: This is no `name:tag`.
        """
        if not _NAME.fullmatch(name):
            raise InvalidError(f"{name!r} is no name with a tag for an image.")
        name_id = _id(name, environment)
        self._shelf.put(ImageName(id=name_id, name=name, environment=environment, image_id=image_id))

    def find(self, name: str, environment: str) -> str:
        """The id of the image that was last published under a name.

        Raises:
            NotFoundError: None was.
        """
        found = self._shelf.peek(_id(name, environment))
        if found is None:
            raise NotFoundError(f"No image was published as {name!r} in environment {environment!r}.")
        return found.image_id

    def meant(self) -> set[str]:
        """The ids of all images that have names."""
        return {name.image_id for name in self._shelf}


def _id(name: str, environment: str) -> str:
    return id_of("in", f"{environment}/{name}".encode())
