"""Content by its SHA-256: uploaded once, then linked wherever it is needed. Nothing here is ever changed."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import time
from typing import TYPE_CHECKING

from trebuchet.emulator.disk import make_private_folder
from trebuchet.emulator.sparse import copy_content
from trebuchet.emulator.world.errors import InvalidError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Collection
    from pathlib import Path

DIGEST = re.compile(r"[0-9a-f]{64}")
PLAIN_MODE = 0o644
ASKED_KEPT = 100_000
"""Of how many it is remembered that somebody was told that they are here: enough for many work dirs."""


class Content:
    """A store of files by digest."""

    def __init__(self, folder: Path) -> None:
        self._folder = make_private_folder(folder)
        self._asked: dict[str, float] = {}
        """When somebody was last told that content is here, and so need not send it."""

    def path(self, digest: str) -> Path:
        """Where the content of this digest lies, or would.

        Raises:
            InvalidError: It is no SHA-256 in lowercase hexadecimal.
        """
        if not DIGEST.fullmatch(digest):
            raise InvalidError("A digest is 64 lowercase hexadecimal digits.")
        return self._folder / digest[:2] / digest

    def has(self, digest: str) -> bool:
        """Whether the content of this digest is here."""
        known = self.path(digest).exists()
        self._asked[digest] = time.time()
        if len(self._asked) > ASKED_KEPT:
            del self._asked[next(iter(self._asked))]
        return known

    def unused(self, used: Collection[str], before: float) -> list[Path]:
        """Files of content that is not among the used, and that nobody sent or asked for since a moment."""
        self._asked = {digest: moment for digest, moment in self._asked.items() if moment >= before}
        return [
            path
            for path in self._folder.glob("*/*")
            if path.name.partition("-")[0] not in used
            and path.name.partition("-")[0] not in self._asked
            and path.stat().st_mtime < before
        ]

    def need(self, digest: str) -> Path:
        """Where the content of this digest lies.

        Raises:
            NotFoundError: It was never uploaded.
        """
        path = self.path(digest)
        if not path.exists():
            raise NotFoundError(f"The content {digest[:12]}… was never uploaded.")
        return path

    def put(self, digest: str, data: bytes) -> None:
        """Keep content.

        Raises:
            InvalidError: It does not have this digest.
        """
        if hashlib.sha256(data).hexdigest() != digest:
            raise InvalidError("The uploaded content does not have the digest it was announced with.")
        draft = self._draft()
        draft.write_bytes(data)
        self._settle(draft, digest)

    async def put_stream(self, digest: str, chunks: AsyncIterable[bytes]) -> None:
        """Keep content that arrives in pieces.

        Raises:
            InvalidError: It does not have this digest.
        """
        draft, found = self._draft(), hashlib.sha256()
        try:
            with draft.open("wb") as file:
                async for chunk in chunks:
                    found.update(chunk)
                    file.write(chunk)
            if found.hexdigest() != digest:
                raise InvalidError("The uploaded content does not have the digest it was announced with.")
            self._settle(draft, digest)
        finally:
            draft.unlink(missing_ok=True)

    def adopt(self, digest: str, path: Path) -> None:
        """Keep a file of this same file system, which must not be changed any more.

        Raises:
            InvalidError: It does not have this digest.
        """
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != digest:
            raise InvalidError("The uploaded content does not have the digest it was announced with.")
        draft = self._draft()
        os.link(path, draft)
        self._settle(draft, digest)

    def link(self, digest: str, target: Path, mode: int) -> None:
        """Make a hard link to content, with these permission bits.

        Permissions belong to the content and not to the link, so there is one copy of it for each set of
        them.

        Raises:
            NotFoundError: It was never uploaded.
        """
        source = self.need(digest)
        if mode != PLAIN_MODE:
            variant = source.with_name(f"{digest}-{mode:o}")
            if not variant.exists():
                draft = self._draft()
                _copy_file(source, draft)
                draft.chmod(mode)
                draft.replace(variant)
            source = variant
        try:
            os.link(source, target)
        except OSError:  # too many links to one file, or a file system without them
            _copy_file(source, target)
            target.chmod(mode)

    def _draft(self) -> Path:
        return make_private_folder(self._folder / "drafts") / secrets.token_hex(8)

    def _settle(self, draft: Path, digest: str) -> None:
        path = self.path(digest)
        path.parent.mkdir(exist_ok=True)
        draft.chmod(PLAIN_MODE)
        draft.replace(path)


def _copy_file(source: Path, target: Path) -> None:
    with source.open("rb") as reads, target.open("wb") as writes:
        copy_content(reads.fileno(), writes.fileno())
        os.ftruncate(writes.fileno(), os.fstat(reads.fileno()).st_size)
