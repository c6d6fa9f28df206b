"""Mounts: files of the caller's, uploaded by content, that show in a sandbox at their own paths.

A mount is assembled once as a folder of hard links to the store. Sandboxes see it as a read-only layer below
their own writable one, so what they change never reaches the shared content.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, cast

from trebuchet.emulator.disk import make_private_folder, read_json, set_aside, write_json
from trebuchet.emulator.world.content import PLAIN_MODE
from trebuchet.emulator.world.errors import InvalidError, NotFoundError
from trebuchet.emulator.world.ids import id_of, is_safe_id, new_id

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from trebuchet.emulator.world.content import Content


@dataclass(frozen=True, kw_only=True)
class MountFile:
    """A file of a mount: an absolute path in the sandbox, what it holds, and its permission bits."""

    path: str
    digest: str
    mode: int


class Mounts:
    """All mounts of this engine. The same files always give the same id."""

    def __init__(self, folder: Path, content: Content) -> None:
        self._folder = make_private_folder(folder)
        self._content = content
        self._assembling: dict[str, asyncio.Lock] = {}

    def make(self, files: Iterable[MountFile]) -> str:
        """Write down a mount of these files; its id.

        Raises:
            InvalidError: A path is not absolute, or leads upwards.
            NotFoundError: A file's content was never uploaded.
        """
        listed = sorted((_checked(file.path), file.digest, file.mode) for file in files)
        for _, digest, _ in listed:
            self._content.need(digest)
        mount_id = id_of("mo", json.dumps(listed).encode())
        if not self._is_noted(mount_id):
            write_json(self._folder / f"{mount_id}.json", {"files": listed})
        return mount_id

    def make_named(self, name: str) -> str:
        """The id of a mount of Modal's own, its client code say: empty here, and always the same id."""
        mount_id = id_of("mo", name.encode())
        write_json(self._folder / f"{mount_id}.json", {"files": []})
        return mount_id

    def check(self, mount_id: str) -> None:
        """Whether there is such a mount.

        Raises:
            NotFoundError: There is none.
        """
        if not is_safe_id(mount_id) or not self._is_noted(mount_id):
            raise NotFoundError(f"Mount {mount_id!r} does not exist.")

    def _is_noted(self, mount_id: str) -> bool:
        """Whether it is written down; by the time of that file it is known when it was last asked for."""
        try:
            os.utime(self._folder / f"{mount_id}.json")
        except FileNotFoundError:
            return False
        return True

    def all(self) -> dict[str, Path]:
        """Where each mount is written down, by its id."""
        return {note.stem: note for note in self._folder.glob("*.json")}

    def digests(self, mount_ids: Iterable[str]) -> set[str]:
        """The content that mounts hold."""
        found: set[str] = set()
        for mount_id in mount_ids:
            with suppress(NotFoundError):
                found.update(digest for _, digest, _ in self._files(mount_id))
        return found

    def folder(self, mount_id: str) -> Path:
        """Where a mount is put together, if it is."""
        return self._folder / mount_id

    async def layer(self, mount_id: str) -> Path:
        """A folder that holds the files at their paths. Nobody may write to it.

        Raises:
            NotFoundError: There is no such mount.
        """
        self.check(mount_id)
        folder = self._folder / mount_id
        async with self._assembling.setdefault(mount_id, asyncio.Lock()):
            if not folder.exists():
                await asyncio.to_thread(self._assemble, mount_id, folder)
        self._assembling.pop(mount_id, None)
        return folder

    def _files(self, mount_id: str) -> list[tuple[str, str, int]]:
        """What a mount holds.

        Raises:
            NotFoundError: It is not written down, or not readably: whoever needs it makes it once more.
        """
        note = self._folder / f"{mount_id}.json"
        try:
            return cast("dict[str, Any]", read_json(note) or {})["files"]
        except (ValueError, KeyError) as error:
            if note.exists():
                set_aside(note, error)
            raise NotFoundError(f"Mount {mount_id!r} does not exist.") from error

    def _assemble(self, mount_id: str, folder: Path) -> None:
        draft = self._folder / new_id("draft")
        draft.mkdir(mode=0o755)
        made = {draft}
        try:
            for path, digest, mode in self._files(mount_id):
                target = draft / path.lstrip("/")
                _make_folders(target.parent, made)
                self._content.link(digest, target, mode or PLAIN_MODE)
            draft.replace(folder)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise


def _make_folders(folder: Path, made: set[Path]) -> None:
    """Make a folder and those above it, open to every user of a sandbox; `made` has those that are there."""
    if folder not in made:
        _make_folders(folder.parent, made)
        folder.mkdir()
        folder.chmod(0o755)  # whatever this process's umask is
        made.add(folder)


def _checked(path: str) -> str:
    pure = PurePosixPath(path)
    if not pure.is_absolute() or ".." in pure.parts or len(pure.parts) < 2 or "\0" in path:
        raise InvalidError(f"{path!r} is no place for a file: it must be absolute and lead nowhere upwards.")
    return pure.as_posix()
