"""Volumes: folders that outlive sandboxes. A sandbox sees the very folder, so nothing has to be committed."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from trebuchet.emulator.disk import make_private_folder
from trebuchet.emulator.process.removal import remove_tree
from trebuchet.emulator.world.errors import AlreadyExistsError, InvalidError, NotFoundError
from trebuchet.emulator.world.ids import is_object_name, new_id
from trebuchet.emulator.world.shelf import Shelf
from trebuchet.emulator.world.volume_files import VolumeFiles

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Volume:
    """A volume; one without a name is ephemeral. `version` is 1 or 2, and differs in how files are put."""

    id: str
    name: str
    environment: str
    version: int
    created_at: float


class Volumes:
    """All volumes of this engine."""

    def __init__(self, folder: Path) -> None:
        self._folder = make_private_folder(folder)
        self._shelf = Shelf(folder / "records", Volume, "Volume")
        self._wanted_at: dict[str, float] = {}

    def get(self, volume_id: str) -> Volume:
        """The volume of this id.

        Raises:
            NotFoundError: There is none.
        """
        return self._shelf.get(volume_id)

    def all(self) -> list[Volume]:
        """All that there are, with names and without."""
        return list(self._shelf)

    def named(self, environment: str) -> list[Volume]:
        """All that have names, the newest first."""
        found = [volume for volume in self._shelf if volume.name and volume.environment == environment]
        return sorted(found, key=lambda volume: -volume.created_at)

    def exists(self, name: str, environment: str) -> bool:
        """Whether there is a volume of this name."""
        return self._named(name, environment) is not None

    def find(self, name: str, environment: str) -> Volume:
        """The volume of this name.

        Raises:
            NotFoundError: There is none.
        """
        volume = self._named(name, environment)
        if volume is None:
            raise NotFoundError(f"Volume {name!r} not found.")
        return volume

    def _named(self, name: str, environment: str) -> Volume | None:
        return next((volume for volume in self.named(environment) if volume.name == name), None)

    def make(self, name: str, environment: str, version: int) -> Volume:
        """Make a volume; an empty name for an ephemeral one.

        Raises:
            AlreadyExistsError: The name is taken.
            InvalidError: This is no name.
        """
        if name:
            self._check_free(name, environment)
        volume = Volume(
            id=new_id("vo"), name=name, environment=environment, version=version or 1, created_at=time.time()
        )
        files = self._files(volume.id)
        files.mkdir()
        files.chmod(0o755)  # whatever this process's umask is: every user of a sandbox may look into it
        return self._shelf.put(volume)

    def rename(self, volume_id: str, name: str) -> None:
        """Give a volume another name.

        Raises:
            AlreadyExistsError: The name is taken.
            InvalidError: This is no name.
        """
        volume = self.get(volume_id)
        self._check_free(name, volume.environment)
        self._shelf.put(replace(volume, name=name))

    def _check_free(self, name: str, environment: str) -> None:
        if not is_object_name(name):
            raise InvalidError(f"{name!r} is no name for a volume: use up to 64 of A-Z a-z 0-9 . _ -")
        if self.exists(name, environment):
            raise AlreadyExistsError(f"Volume {name!r} already exists.")

    def delete(self, volume_id: str) -> None:
        """Remove a volume with its files.

        Raises:
            NotFoundError: There is none.
        """
        self.get(volume_id)
        self.forget(volume_id)
        with suppress(OSError):
            remove_tree(self._files(volume_id))

    def forget(self, volume_id: str) -> None:
        """Forget a volume, and leave its files to whoever asked for that."""
        self._shelf.drop(volume_id)
        self._wanted_at.pop(volume_id, None)

    # ── files ──

    def files(self, volume_id: str) -> VolumeFiles:
        """The files of a volume.

        Raises:
            NotFoundError: There is no such volume.
        """
        return VolumeFiles(self.root(volume_id))

    def folder(self, volume_id: str) -> Path:
        """Where all files of a volume lie, for one who only looks how old they are."""
        return self._files(self.get(volume_id).id).resolve()

    def root(self, volume_id: str) -> Path:
        """The folder that holds all files of a volume, for one who may change them."""
        self._wanted_at[volume_id] = time.time()
        return self.folder(volume_id)

    def wanted_since(self, volume_id: str, moment: float) -> bool:
        """Whether somebody may have changed files of a volume since a moment (seconds since the epoch)."""
        return self._wanted_at.get(volume_id, 0.0) >= moment

    def place(self, volume_id: str, sub_path: str) -> Path:
        """The folder that a sandbox gets to see, made if missing.

        Raises:
            InvalidError: The sub-path leads out of the volume.
            ConflictError: Something else than a folder is there.
        """
        return self.root(volume_id) / self.files(volume_id).real(sub_path, make=True)

    def check_place(self, volume_id: str, sub_path: str) -> None:
        """Refuse what `place` would, and make nothing. Links are followed as far as they stay inside.

        Raises:
            InvalidError: The sub-path leads out of the volume.
            NotFoundError: There is no such volume.
        """
        self.files(volume_id).real(sub_path)

    def _files(self, volume_id: str) -> Path:
        return self._folder / volume_id
