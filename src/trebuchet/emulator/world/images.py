"""Images: what each was asked to be made of."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trebuchet.emulator.process.system_key import system_key
from trebuchet.emulator.world.dockerfile import read_stage
from trebuchet.emulator.world.errors import NotFoundError
from trebuchet.emulator.world.ids import id_of
from trebuchet.emulator.world.recipe import CHANGES_FILES, Manner, apply
from trebuchet.emulator.world.recipes import Recipes
from trebuchet.emulator.world.shelf import Shelf

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Image:
    """What an image was asked to be made of.

    Attributes:
        id: What the SDK calls it.
        commands: The lines of its Dockerfile.
        bases: The image that it is made on, if any.
        builder_version: Which of Modal's ways of building it asks for.
        context_mount_id: The files that its commands may copy.
        context_files: Others that its commands may copy: path in the context -> digest.
        build_args: What is given to its `ARG`s.
        secret_ids: Whose values its commands see.
        registry_secret_id: Whose values log in to its registry.
        is_modals_own: Whether it is one of Modal's own bases, whose part the host's files take here.
        created_at: Seconds since the epoch.
        snapshot: Whether it was made of a sandbox's files, and so is built on nothing.
        expires_at: Seconds since the epoch; None for never.
    """

    id: str
    commands: list[str]
    bases: list[str]
    builder_version: str
    context_mount_id: str = ""
    context_files: dict[str, str] = field(default_factory=dict[str, str])
    build_args: dict[str, str] = field(default_factory=dict[str, str])
    secret_ids: list[str] = field(default_factory=list[str])
    registry_secret_id: str = ""
    is_modals_own: bool = False
    created_at: float = 0.0
    snapshot: bool = False
    expires_at: float | None = None


class Images:
    """All images of this engine. The same request always gives the same id, so nothing is built twice."""

    def __init__(self, folder: Path, *, builds_layers: bool, recipes: Recipes | None = None) -> None:
        """Read what there is.

        Args:
            folder: Where they are written down.
            builds_layers: Whether what is added to a base of Modal's is built, or recorded alone.
            recipes: What other engines of this process were asked for.
        """
        self._shelf = Shelf(folder, Image, "Image")
        self._builds_layers = builds_layers
        self._recipes = Recipes() if recipes is None else recipes
        self._recalled: set[str] = set()
        self._manners: dict[str, Manner] = {}
        self._changing: dict[str, bool] = {}

    def get(self, image_id: str) -> Image:
        """The image of this id.

        Raises:
            NotFoundError: There is none, or its time is up.
        """
        image = self.peek(image_id)
        if image is None:
            raise NotFoundError(f"Could not find image with ID {image_id!r}.")
        if image.expires_at is not None and image.expires_at <= time.time():
            raise NotFoundError(f"Image {image_id!r} was kept until its time was up.")
        return image

    def peek(self, image_id: str) -> Image | None:
        """The image of this id, or None."""
        known = self._shelf.peek(image_id)
        if known is None and (recipe := self._recipes.find(image_id)) is not None:
            self._recalled.add(image_id)
            return self._keep(recipe)
        return known

    def is_recalled(self, image_id: str) -> bool:
        """Whether this engine knows an image by its id alone, from another one of its process."""
        self.peek(image_id)
        return image_id in self._recalled

    def is_snapshot(self, image_id: str) -> bool:
        """Whether an image was made of a sandbox's files."""
        image = self._shelf.peek(image_id)
        return image is not None and image.snapshot

    def expired(self) -> list[Image]:
        """Those whose time is up."""
        now = time.time()
        return [image for image in self._shelf if image.expires_at is not None and image.expires_at <= now]

    def all(self) -> list[Image]:
        """All that there are, but for those whose time is up."""
        now = time.time()
        return [image for image in self._shelf if image.expires_at is None or image.expires_at > now]

    def adopt(self, image_id: str, base: Image | None, *, expires_at: float) -> Image:
        """Record an image that was made of the files of a sandbox on `base`."""
        return self._keep(
            Image(
                id=image_id,
                commands=[],
                bases=[base.id] if base else [],
                builder_version=base.builder_version if base else "",
                created_at=time.time(),
                snapshot=True,
                expires_at=None if math.isinf(expires_at) else expires_at,
            )
        )

    def find_or_build(
        self,
        definition: bytes,
        *,
        commands: list[str],
        bases: list[str],
        builder_version: str,
        context_mount_id: str,
        context_files: dict[str, str],
        build_args: dict[str, str],
        secret_ids: list[str],
        registry_secret_id: str,
        is_modals_own: bool,
    ) -> Image:
        """The image of this definition (its canonical bytes), recorded if it is new.

        Modal's own bases are the host's system here. Another system makes another image of each, and so of
        all that is built on it: layers that were made on the old one are not laid over the new one.

        Raises:
            InvalidError: The commands are no Dockerfile.
            NotServedError: They are one that is not understood here.
        """
        if not is_modals_own:
            read_stage(commands, build_args)
        system = system_key() if is_modals_own else ""
        defined = definition + builder_version.encode() + system.encode()
        image_id = id_of("im", defined)
        image = self._shelf.peek(image_id) or self._keep(
            Image(
                id=image_id,
                commands=commands,
                bases=bases,
                builder_version=builder_version,
                context_mount_id=context_mount_id,
                context_files=context_files,
                build_args=build_args,
                secret_ids=secret_ids,
                registry_secret_id=registry_secret_id,
                is_modals_own=is_modals_own,
                created_at=time.time(),
            )
        )
        self._recipes.note(image)
        return image

    def delete(self, image_id: str) -> None:
        """Forget an image; sandboxes that run on it are untouched.

        Raises:
            NotFoundError: There is none.
        """
        if self._shelf.peek(image_id) is None:
            raise NotFoundError(f"No Image with ID {image_id!r}.")
        self._shelf.drop(image_id)
        self._recipes.forget(image_id)
        self._manners.clear()

    def _keep(self, image: Image) -> Image:
        self._manners.clear()  # it may be the base of others that were looked at while it was gone
        return self._shelf.put(image)

    def has_own_files(self, image_id: str) -> bool:
        """Whether an image has files that are not the host's, and so is built.

        One from a registry has, and one that copies files or runs commands on a base of Modal's; the commands
        of that base itself made what the host's system stands for here.

        Raises:
            NotFoundError: There is no such image.
        """
        image = self.get(image_id)
        while image.bases and not image.snapshot:
            if self._builds_layers and self._changes_files(image):
                return True
            image = self.get(image.bases[0])
        return not image.is_modals_own

    def manner(self, image_id: str) -> Manner:
        """How the commands of an image and its bases let processes run; nothing for an image that is gone.

        Raises:
            WorldError: There is a command that is not understood.
        """
        if image_id not in self._manners:
            self._manners[image_id] = self._read_manner(image_id)
        return self._manners[image_id]

    def _read_manner(self, image_id: str) -> Manner:
        image = self.peek(image_id)
        manner = Manner()
        if image is None:
            return manner
        for base in image.bases:
            manner = self.manner(base)
        if image.is_modals_own or not image.commands:  # it is the host's system, which is as it is
            return manner
        for command in read_stage(image.commands, image.build_args).commands:
            manner = apply(command, manner, image.build_args) or manner
        return manner.settled()

    def _changes_files(self, image: Image) -> bool:
        """Asked on the way of every start, so it is looked at once."""
        if image.id not in self._changing:
            commands = read_stage(image.commands, image.build_args).commands if image.commands else ()
            self._changing[image.id] = any(command.verb in CHANGES_FILES for command in commands)
        return self._changing[image.id]
