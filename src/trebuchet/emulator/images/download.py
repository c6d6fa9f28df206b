"""Bringing a blob to the disk: over several connections if need be, and checked before it counts."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from trebuchet.emulator.images.errors import DigestMismatchError, NoSpaceError
from trebuchet.emulator.images.registry import BROKEN_OFF
from trebuchet.emulator.images.store import disk_error

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import aiohttp

    from trebuchet.emulator.images.manifests import Descriptor
    from trebuchet.emulator.images.registry import Registry

_PIECE = 1 << 18
"""Bytes that are hashed and written at once: well under a millisecond, in which nothing else can run."""
_RANGE = re.compile(r"bytes (\d+)-")


async def download(
    registry: Registry, blob: Descriptor, partial: Path, finished: Path, on_progress: Callable[[int], None]
) -> None:
    """Download a blob, or what is missing of it. The caller holds the lock on it.

    Args:
        registry: Where from.
        blob: What it must be.
        partial: Where it grows; what an earlier download left there is gone on with.
        finished: Where it is once it is whole and right.
        on_progress: Called with the number of bytes that are here.

    Raises:
        DigestMismatchError: The registry has something else under this digest.
        NoSpaceError: Nothing is left behind.
        ImageError: The registry refuses, or does not answer; what came is kept for the next time.
    """
    while True:
        from_scratch = not partial.exists()
        try:
            draft = await asyncio.to_thread(_Draft.open, partial, blob)
            try:
                await _fill(registry, blob, draft, on_progress)
                draft.check()
            finally:
                os.close(draft.descriptor)
            partial.rename(finished)
        except DigestMismatchError:
            partial.unlink(missing_ok=True)
            if from_scratch:
                raise
        except OSError as error:
            failure = disk_error(error, "a layer of the image")
            if isinstance(failure, NoSpaceError):
                with contextlib.suppress(FileNotFoundError):
                    partial.unlink()
            raise failure from error
        else:
            return


async def _fill(
    registry: Registry, blob: Descriptor, draft: _Draft, on_progress: Callable[[int], None]
) -> None:
    tries = 0
    while draft.size < blob.size:
        before = draft.size
        try:
            async with registry.blob(blob.digest, draft.size) as answer:
                await _receive(answer, draft, on_progress)
            if draft.size < blob.size:
                raise ConnectionError("it broke off in the middle of a layer")
        except BROKEN_OFF as error:
            # As long as something comes each time, it goes on for as long as it takes.
            tries = 1 if draft.size > before else tries + 1
            await registry.wait_before_again(error, tries)


async def _receive(answer: aiohttp.ClientResponse, draft: _Draft, on_progress: Callable[[int], None]) -> None:
    if _beginning(answer) != draft.size:
        draft.restart()
    if answer.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        return
    waiting = bytearray()
    try:
        async for chunk in answer.content.iter_any():
            waiting += chunk
            if len(waiting) >= _PIECE:
                draft.append(bytes(waiting))
                waiting.clear()
                on_progress(draft.size)
    finally:
        draft.append(bytes(waiting))
        on_progress(draft.size)


def _beginning(answer: aiohttp.ClientResponse) -> int:
    if answer.status != HTTPStatus.PARTIAL_CONTENT:
        return 0
    match = _RANGE.match(answer.headers.get("Content-Range", ""))
    return int(match[1]) if match else 0


@dataclass
class _Draft:
    """A blob that is not whole yet. Its hash is always that of what is on disk."""

    descriptor: int
    blob: Descriptor
    size: int = 0

    def __post_init__(self) -> None:
        self._hash = hashlib.sha256()

    @classmethod
    def open(cls, path: Path, blob: Descriptor) -> _Draft:
        draft = cls(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), blob)
        try:
            while data := os.read(draft.descriptor, _PIECE):
                draft.count(data)
            if draft.size > blob.size:
                draft.restart()
        except BaseException:
            os.close(draft.descriptor)
            raise
        return draft

    def count(self, data: bytes) -> None:
        self._hash.update(data)
        self.size += len(data)

    def append(self, data: bytes) -> None:
        if self.size + len(data) > self.blob.size:
            raise DigestMismatchError(
                f"The registry sends more than the {self.blob.size} bytes that {self.blob.digest} has."
            )
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self.descriptor, rest) :]
        self.count(data)

    def restart(self) -> None:
        os.ftruncate(self.descriptor, 0)
        os.lseek(self.descriptor, 0, os.SEEK_SET)
        self._hash = hashlib.sha256()
        self.size = 0

    def check(self) -> None:
        found = f"sha256:{self._hash.hexdigest()}"
        if found != self.blob.digest:
            raise DigestMismatchError(
                f"The registry's {self.blob.digest} is something else: what came hashes to {found}.",
                "The registry's copy is damaged; push the image again.",
            )
