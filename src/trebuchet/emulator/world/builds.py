"""Builds of images: the files that they start from, and the layers made on top of them.

Modal's own base has no build here, since the host's files stand for it; nor has an image that adds nothing to
these but variables and a work dir.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trebuchet.emulator.disk import make_private_folder
from trebuchet.emulator.images.errors import ImageError
from trebuchet.emulator.process.errors import ProcessError
from trebuchet.emulator.world.build_log import BuildLog
from trebuchet.emulator.world.errors import NotFoundError, WorldError
from trebuchet.emulator.world.recipe import Manner
from trebuchet.emulator.world.shelf import Shelf

if TYPE_CHECKING:
    from pathlib import Path

    from trebuchet.emulator.world.builder import Builder
    from trebuchet.emulator.world.images import Image, Images

log = logging.getLogger(__name__)
_LOOK_AGAIN_S = 5.0
_WORDS = ("entrypoint", "command", "shell")


@dataclass(frozen=True, kw_only=True)
class Built:
    """The end of a build.

    Attributes:
        id: The image's.
        failure: Why it failed; empty if it did not.
        root: The folder of the image's own files; empty where they are those of the host.
        layers: Folders that lie above it, lowest first.
        folder: Where a snapshot of one folder lies: all that such an image has.
        key: What tells these files from all others, wherever they lie.
        manner: How processes run on it.
        built_at: Seconds since the epoch.
    """

    id: str
    failure: str = ""
    root: str = ""
    layers: list[str] = field(default_factory=list[str])
    folder: str = ""
    key: str = ""
    manner: dict[str, Any] = field(default_factory=dict[str, Any])
    built_at: float = 0.0

    def how(self) -> Manner:
        """How processes run on it."""
        words: dict[str, Any] = {name: tuple(self.manner.get(name, ())) for name in _WORDS}
        return Manner(variables=self.manner.get("variables", {}), workdir=self.manner.get("workdir"), **words)


class Builds:
    """All builds of this engine; each image is built once, whoever asks."""

    def __init__(self, folder: Path, images: Images, builder: Builder) -> None:
        self._folder = make_private_folder(folder)
        self._shelf = Shelf(folder, Built, "Build")
        self._images = images
        self._builder = builder
        self._running: dict[str, asyncio.Task[Built]] = {}
        self._logs: dict[str, BuildLog] = {}

    @property
    def running(self) -> int:
        """How many are under way."""
        return len(self._running)

    def has_own_files(self, image_id: str) -> bool:
        """Whether an image has files that are not the host's, and so is built."""
        return self._images.has_own_files(image_id)

    def built(self, image_id: str) -> Built | None:
        """The image's own files; None where sandboxes run on the host's.

        Raises:
            NotFoundError: It has not been built, or what was built is gone.
        """
        if not image_id or not self.has_own_files(image_id):
            return None
        known = self._known(image_id)
        if known is None or known.failure:
            raise NotFoundError(f"Image {image_id!r} has not been built.")
        return known

    def _known(self, image_id: str) -> Built | None:
        """A build that has ended, and whose files are still there if it has any."""
        known = self._shelf.peek(image_id)
        if known is None or known.failure:
            return known
        places = (known.folder or known.root, *known.layers[-1:])
        # Asked on the way of every start.
        return known if all(os.path.isdir(place) for place in places if place) else None  # noqa: PTH112

    def all(self) -> list[Built]:
        """All that have ended, well or not."""
        return list(self._shelf)

    def forget(self, image_id: str) -> None:
        """Forget a build, and leave its files to whoever asked for that; when wanted it is built anew."""
        self._shelf.drop(image_id)
        self._log_path(image_id).unlink(missing_ok=True)

    def adopt(self, built: Built) -> None:
        """Take what was made without a build: a snapshot."""
        self._shelf.put(built)

    def result(self, image_id: str) -> Built | None:
        """The end of an image's build; None while there is none."""
        return None if image_id in self._running else self._known(image_id)

    def begin(self, image_id: str, *, anew: bool = False) -> None:
        """Build an image, unless that is done or being done. A build that failed is tried again."""
        known = self._known(image_id)
        if image_id in self._running or (known is not None and not known.failure and not anew):
            return
        self._shelf.drop(image_id)
        self._logs[image_id] = BuildLog(self._log_path(image_id))
        task = asyncio.create_task(self._build(self._images.get(image_id)))
        self._running[image_id] = task
        task.add_done_callback(lambda _: self._end(image_id))

    async def catch_up(self, image_id: str) -> None:
        """Build what another engine of this process has built: whoever asks for it believes it to be there.

        Raises:
            NotFoundError: It cannot be known how.
        """
        if image_id and self._images.is_recalled(image_id) and self.has_own_files(image_id):
            self.begin(image_id)
            if image_id in self._running:
                await asyncio.shield(self._running[image_id])

    def read_log(self, image_id: str, offset: int, limit: int) -> bytes:
        """What a build printed, from a byte on; empty where there is no more, or never was any."""
        try:
            with self._log_path(image_id).open("rb") as file:
                file.seek(offset)
                return file.read(limit)
        except FileNotFoundError:
            return b""

    def _log_path(self, image_id: str) -> Path:
        return self._folder / f"{image_id}.log"

    async def wait(self, image_id: str, timeout_s: float) -> None:
        """Until a build prints more or ends, or the time is up."""
        output = self._logs.get(image_id)
        if output is not None and image_id in self._running:
            await output.wait(min(timeout_s, _LOOK_AGAIN_S))

    def _end(self, image_id: str) -> None:
        self._running.pop(image_id, None)
        self._logs.pop(image_id).ring()

    async def _build(self, image: Image) -> Built:
        output = self._logs[image.id]
        try:
            base = await self._base(image)
            built = await self._builder.build(image, base, output)
        except (ImageError, WorldError, ProcessError, OSError) as error:
            hint = f" {error.hint}" if isinstance(error, ImageError) and error.hint else ""
            built = Built(id=image.id, failure=f"{error}{hint}", built_at=time.time())
        except Exception:
            # Whoever waits must hear of an end; what happened is for the daemon's own log.
            log.exception("the build of %s ended with an internal error", image.id)
            built = Built(id=image.id, failure="The local engine failed: see `trebuchet local logs`.")
        return self._shelf.put(built)

    async def _base(self, image: Image) -> Built | None:
        if not image.bases:
            return None
        base = image.bases[0]
        if not self.has_own_files(base):
            return self._builder.host_base(base, self._images.manner(base))
        self.begin(base)
        if base in self._running:
            await asyncio.shield(self._running[base])
        return self.built(base)
