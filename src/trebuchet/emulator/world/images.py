"""Images: a build is recorded, with the commands it was asked for; sandboxes run on the host's files."""

from __future__ import annotations

import hashlib
import shlex
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trebuchet.emulator.world.shelf import Shelf

if TYPE_CHECKING:
    from pathlib import Path

ID_LENGTH = 22


@dataclass(frozen=True, kw_only=True)
class Image:
    """What an image was asked to be made of. `context_files` holds names alone."""

    id: str
    commands: list[str]
    bases: list[str]
    builder_version: str
    context_mount_id: str = ""
    context_files: list[str] = field(default_factory=list[str])
    created_at: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What an image's commands say about every process that runs on it."""

    variables: dict[str, str]
    workdir: str | None


class Images:
    """All images of this engine. The same request always gives the same id, so nothing is built twice."""

    def __init__(self, folder: Path) -> None:
        self._shelf = Shelf(folder, Image, "Image")
        self._settings: dict[str, Setting] = {}

    def get(self, image_id: str) -> Image:
        """The image of this id.

        Raises:
            NotFoundError: There is none.
        """
        return self._shelf.get(image_id)

    def find_or_build(
        self,
        definition: bytes,
        *,
        commands: list[str],
        bases: list[str],
        builder_version: str,
        context_mount_id: str,
        context_files: list[str],
    ) -> Image:
        """The image of this definition (its canonical bytes), recorded if it is new."""
        image_id = "im-" + hashlib.sha256(definition + builder_version.encode()).hexdigest()[:ID_LENGTH]
        return self._shelf.peek(image_id) or self._shelf.put(
            Image(
                id=image_id,
                commands=commands,
                bases=bases,
                builder_version=builder_version,
                context_mount_id=context_mount_id,
                context_files=context_files,
                created_at=time.time(),
            )
        )

    def delete(self, image_id: str) -> None:
        """Forget an image; sandboxes that run on it are untouched.

        Raises:
            NotFoundError: There is none.
        """
        self._shelf.get(image_id)
        self._shelf.drop(image_id)

    def setting(self, image_id: str) -> Setting:
        """What `ENV` and `WORKDIR` in an image and its bases say; nothing for one that is gone."""
        if image_id not in self._settings:
            self._settings[image_id] = self._read_setting(image_id)
        return self._settings[image_id]

    def _read_setting(self, image_id: str) -> Setting:
        image = self._shelf.peek(image_id)
        if image is None:
            return Setting(variables={}, workdir=None)
        variables: dict[str, str] = {}
        workdir: str | None = None
        for base in image.bases:
            below = self.setting(base)
            variables.update(below.variables)
            workdir = below.workdir or workdir
        for command in image.commands:
            verb, _, rest = command.strip().partition(" ")
            if verb.upper() == "ENV":
                variables.update(_assignments(rest))
            elif verb.upper() == "WORKDIR":
                workdir = "".join(shlex.split(rest)[:1]) or workdir
        return Setting(variables=variables, workdir=workdir)


def _assignments(text: str) -> dict[str, str]:
    """The variables of an `ENV` command, in either of its forms; those made of others are left out."""
    name, _, value = text.strip().partition(" ")
    if "=" not in name:
        return {name: value.strip()}
    refers = "$" in text and "'" not in text
    parts = [word.partition("=") for word in shlex.split(text) if "=" in word and not refers]
    return {name: value for name, _, value in parts}
