"""Where images lie on disk, by what they hash to, and who may write there.

    blobs/HEX             manifests, configurations; archives of layers until they are unpacked
    blobs/HEX.partial     a download under way, or one that goes on later
    layers/HEX/           tree (what the layer adds) and layer.json (what it takes away)
    roots/HEX/            tree (a whole image, its files hard links into the layers) and root.json (of what)
    locks/                one file for each thing that is being made, and `store`

Every folder appears under its name when it is whole. Locks are `flock`s: they end with their holders.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import shutil
from typing import TYPE_CHECKING

from trebuchet.emulator.disk import make_private_folder
from trebuchet.emulator.images.errors import ImageError, NoSpaceError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator
    from pathlib import Path

TREE = "tree"
MAKING = ".making"
_LOOK_AGAIN_S = 0.1
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class Store:
    """The folder of all images of one engine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def make(self) -> None:
        """Make the folders, private to the user: images may hold programs that nobody else should run."""
        for name in ("", "blobs", "layers", "roots", "locks"):
            make_private_folder(self.folder / name)

    def blob(self, digest: str) -> Path:
        return self.folder / "blobs" / _hex(digest)

    def partial(self, digest: str) -> Path:
        return self.folder / "blobs" / f"{_hex(digest)}.partial"

    def layer(self, diff_id: str) -> Path:
        return self.folder / "layers" / _hex(diff_id)

    def root(self, chain_id: str) -> Path:
        return self.folder / "roots" / _hex(chain_id)

    @contextlib.asynccontextmanager
    async def lock(
        self, name: str, *, shared: bool = False, while_waiting: Callable[[], None] = lambda: None
    ) -> AsyncGenerator[int]:
        """Hold one of the store's locks, against other processes and against other tasks of this one.

        Args:
            name: Which.
            shared: Whether others may hold it at the same time, if they say so too.
            while_waiting: Called every now and then while somebody else holds it.

        Yields:
            The descriptor that holds it; a child that inherits it holds it too.
        """
        descriptor = self._open_lock(name)
        operation = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB
        try:
            while not _try_lock(descriptor, operation):
                while_waiting()
                await asyncio.sleep(_LOOK_AGAIN_S)
            yield descriptor
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def exclusively(self) -> Generator[None]:
        """Hold the whole store, waiting for all that is being pulled."""
        descriptor = self._open_lock(WHOLE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _open_lock(self, name: str) -> int:
        path = self.folder / "locks" / name.replace(":", "-")
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


WHOLE = "store"
"""The lock that every pull shares and a clean-up has alone."""


@contextlib.contextmanager
def making(finished: Path) -> Generator[Path]:
    """A folder to fill, which gets its name when the block ends well and is gone when it does not.

    The caller holds the lock on the thing that is being made; what an earlier holder left behind is removed.
    """
    unfinished = finished.with_name(finished.name + MAKING)
    discard(unfinished)
    unfinished.mkdir(mode=0o700)
    try:
        yield unfinished
        unfinished.rename(finished)
    except BaseException:
        discard(unfinished)
        raise


def discard(folder: Path) -> None:
    """Remove a folder, if it is there."""
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(folder)


def disk_error(error: OSError, doing: str) -> ImageError:
    """What to say when the disk fails us."""
    if error.errno in _FULL:
        return NoSpaceError(
            f"The disk is full: no room for {doing}.",
            "Make some room, or move TREBUCHET_HOME to a larger disk.",
        )
    return ImageError(f"The disk does not take {doing}: {error.strerror or error}.")


def _try_lock(descriptor: int, operation: int) -> bool:
    try:
        fcntl.flock(descriptor, operation)
    except BlockingIOError:
        return False
    return True


def _hex(digest: str) -> str:
    return digest.rpartition(":")[2]
