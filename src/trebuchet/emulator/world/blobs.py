"""Uploads too large for a message: files that wait, under an id, for the call that says what they are."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING

from trebuchet.emulator.disk import make_private_folder
from trebuchet.emulator.world.errors import NotFoundError
from trebuchet.emulator.world.ids import is_safe_id, new_id

if TYPE_CHECKING:
    from collections.abc import AsyncIterable
    from pathlib import Path

KEPT_S = 3600.0


class Blobs:
    """All uploads that wait."""

    def __init__(self, folder: Path) -> None:
        self._folder = make_private_folder(folder)

    def new(self) -> str:
        """An id for an upload that is to come."""
        return new_id("bl", 32)

    def path(self, blob_id: str) -> Path:
        """Where an upload lies.

        Raises:
            NotFoundError: It never came, or is gone.
        """
        path = self._folder / blob_id
        if not is_safe_id(blob_id) or not path.exists():
            raise NotFoundError("This upload never came, or was used up.")
        return path

    async def put(self, blob_id: str, chunks: AsyncIterable[bytes]) -> str:
        """Keep an upload; its MD5 in hexadecimal, which the SDK compares with its own."""
        if not is_safe_id(blob_id):
            raise NotFoundError("There is no such upload.")
        found = hashlib.md5(usedforsecurity=False)
        draft = self._folder / f"{blob_id}.{new_id('draft')}"
        try:
            with draft.open("wb") as file:
                async for chunk in chunks:
                    found.update(chunk)
                    file.write(chunk)
            draft.replace(self._folder / blob_id)
        finally:
            draft.unlink(missing_ok=True)
        return found.hexdigest()

    def drop(self, blob_id: str) -> None:
        """An upload was used."""
        self.path(blob_id).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove what nobody came for."""
        latest = time.time() - KEPT_S
        for path in self._folder.iterdir():
            if path.stat().st_mtime < latest:
                path.unlink(missing_ok=True)
