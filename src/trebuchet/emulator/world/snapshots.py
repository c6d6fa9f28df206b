"""Snapshots: images made of what a sandbox has written, or of one of its folders."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeVar

from trebuchet.emulator.disk import make_private_folder
from trebuchet.emulator.process.errors import NoFolderError, NotAFolderError, NotRunningError, ProcessError
from trebuchet.emulator.process.removal import remove_tree
from trebuchet.emulator.process.snapshots import copy_folder, copy_written, place_folder, take_away
from trebuchet.emulator.world.builds import Built
from trebuchet.emulator.world.errors import ConflictError, InvalidError, NotFoundError, NotServedError
from trebuchet.emulator.world.ids import id_of, new_id

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Coroutine

    from trebuchet.emulator.process.host import ProcessHost
    from trebuchet.emulator.world.builds import Builds
    from trebuchet.emulator.world.images import Images
    from trebuchet.emulator.world.mounts import Mounts
    from trebuchet.emulator.world.sandbox import Sandbox

log = logging.getLogger(__name__)
T = TypeVar("T")

USUAL_LIFETIME_S = 30 * 24 * 3600.0
FOR_EVER = -1


class Snapshots:
    """Takes snapshots, each once, and keeps them among the layers of images."""

    def __init__(
        self, layers: Path, *, host: ProcessHost, images: Images, builds: Builds, mounts: Mounts
    ) -> None:
        self._layers = make_private_folder(layers)
        self._host = host
        self._images = images
        self._builds = builds
        self._mounts = mounts
        self._taking: dict[str, asyncio.Task[None]] = {}
        self._mounting = 0

    @property
    def busy(self) -> bool:
        """Whether one is being taken, or shown: the layers that this reads may be noted nowhere."""
        return bool(self._taking or self._mounting)

    async def take(self, sandbox: Sandbox, name: str, ttl_s: int) -> str:
        """The id of an image that holds the sandbox's files as they are now.

        Args:
            sandbox: It must run.
            name: The caller's own for this snapshot: it is taken once, however often it is asked for.
            ttl_s: How long it is kept; 0 for the usual time, -1 for ever.

        Raises:
            ConflictError: The sandbox does not run, or what it wrote cannot be copied.
        """

        async def make(image_id: str) -> Built:
            base = self._builds.built(sandbox.ask.image_id)
            below = [
                *(base.layers if base else ()),
                *[str(await self._mounts.layer(mount_id)) for mount_id in sandbox.ask.mount_ids],
            ]
            layer = await self._layer(
                image_id, lambda target: copy_written(self._host, sandbox.process, target)
            )
            manner = base.how() if base else self._images.manner(sandbox.ask.image_id)
            return Built(
                id=image_id,
                root=base.root if base else "",
                layers=[*below, layer],
                key=_name(layer),
                manner=asdict(manner),
                built_at=time.time(),
            )

        return await self._once(sandbox, name, ttl_s, make)

    async def take_folder(self, sandbox: Sandbox, path: str, name: str, ttl_s: int) -> str:
        """The id of an image that holds one folder of a sandbox, to be shown in others.

        Raises:
            InvalidError: The path is not absolute, or something else than a folder is there.
            NotFoundError: There is nothing at the path.
            ConflictError: The sandbox does not run.
        """
        place = _checked(path)

        async def make(image_id: str) -> Built:
            layer = await self._layer(
                image_id, lambda target: copy_folder(self._host, sandbox.process, place, target)
            )
            return Built(id=image_id, folder=layer, key=_name(layer), built_at=time.time())

        return await self._once(sandbox, name, ttl_s, make)

    async def mount(self, sandbox: Sandbox, path: str, image_id: str) -> None:
        """Show a folder's snapshot, or an empty folder for no image, at a path of a running sandbox.

        Raises:
            InvalidError: The path is not absolute, or the root.
            NotServedError: The image is no snapshot of a folder.
            ConflictError: The sandbox does not run, or the place cannot be taken.
        """
        place = _checked(path)
        if place == "/":
            raise InvalidError("Nothing can be mounted over the whole of a sandbox.")
        built = self._builds.built(image_id)
        source = built.folder if built else ""
        if image_id and not source:
            raise NotServedError("The local engine mounts snapshots of folders, and empty images, alone.")
        self._mounting += 1
        try:
            await _speaking(
                place_folder(self._host, sandbox.process, place, Path(source) if source else None)
            )
        finally:
            self._mounting -= 1

    async def unmount(self, sandbox: Sandbox, path: str) -> None:
        """Show again what was at a path before.

        Raises:
            InvalidError: The path is not absolute.
            ConflictError: The sandbox does not run, or nothing is mounted there.
        """
        await _speaking(take_away(self._host, sandbox.process, _checked(path)))

    async def sweep(self, used: Collection[str]) -> None:
        """Remove those whose time is up, but what others are made of, or are just being made of.

        Args:
            used: The images of the sandboxes that are alive.
        """
        if self.busy or self._builds.running:
            return
        gone = {image.id for image in self._images.expired()} - set(used)
        for place in self._forget(gone):
            try:
                await asyncio.to_thread(remove_tree, place)
            except OSError as error:
                log.warning("what is left of a snapshot is not removed: %s", error)

    def _forget(self, gone: Collection[str]) -> list[Path]:
        """Forget some; what is left of them, where nobody looks for it.

        Nothing is awaited meanwhile, so that nothing can begin to need what goes.
        """
        layers = [built.folder or built.layers[-1] for built in self._builds.all() if built.id in gone]
        for image_id in gone:
            self._images.delete(image_id)
            self._builds.forget(image_id)
        kept = self._layers_of_images()
        return [place for layer in layers if layer not in kept and (place := self._out_of_the_way(layer))]

    def _out_of_the_way(self, layer: str) -> Path | None:
        try:
            return Path(layer).rename(self._layers / new_id("making"))
        except FileNotFoundError:
            return None
        except OSError as error:
            log.warning("a snapshot that nobody needs stays: %s", error)
            return None

    def _layers_of_images(self) -> set[str]:
        return {layer for built in self._builds.all() for layer in (*built.layers, built.folder)}

    async def _once(
        self,
        sandbox: Sandbox,
        name: str,
        ttl_s: int,
        make: Callable[[str], Coroutine[None, None, Built]],
    ) -> str:
        image_id = id_of("im", f"{sandbox.id} {name}".encode())
        if self._images.peek(image_id) is not None:
            return image_id
        if sandbox.ended.is_set() or not sandbox.standing.admitted:
            raise ConflictError(f"Sandbox {sandbox.id} does not run.")

        async def work() -> None:
            built = await _speaking(make(image_id))
            lifetime_s = float("inf") if ttl_s == FOR_EVER else ttl_s or USUAL_LIFETIME_S
            base = self._images.peek(sandbox.ask.image_id)
            self._builds.adopt(built)
            self._images.adopt(image_id, base, expires_at=time.time() + lifetime_s)

        if image_id not in self._taking:
            self._taking[image_id] = asyncio.create_task(work())
            self._taking[image_id].add_done_callback(lambda _: self._taking.pop(image_id, None))
        await asyncio.shield(self._taking[image_id])
        return image_id

    async def _layer(self, image_id: str, copy: Callable[[Path], Awaitable[None]]) -> str:
        draft = self._layers / new_id("making")
        place = self._layers / f"snapshot-{image_id}"
        try:
            await copy(draft)
            if str(place) in self._layers_of_images():  # of an earlier one, whose time is up
                place = self._layers / new_id(place.name)
            elif place.is_dir():  # a daemon died before it wrote down what this is
                await asyncio.to_thread(remove_tree, place)
            draft.rename(place)
        finally:
            if draft.is_dir():
                await asyncio.to_thread(remove_tree, draft)
        return str(place)


def _name(layer: str) -> str:
    """What tells a layer's files from all others: the same snapshot may be taken again after its time."""
    return Path(layer).name


async def _speaking(work: Awaitable[T]) -> T:
    try:
        return await work
    except NoFolderError as error:
        raise NotFoundError(str(error)) from error
    except NotAFolderError as error:
        raise InvalidError(str(error)) from error
    except NotRunningError as error:
        raise ConflictError("The sandbox does not run.") from error
    except ProcessError as error:
        raise ConflictError(str(error)) from error


def _checked(path: str) -> str:
    pure = PurePosixPath(path)
    if not pure.is_absolute() or ".." in pure.parts or "\0" in path:
        raise InvalidError(f"{path!r} is no absolute path of a sandbox's.")
    return str(PurePosixPath("/", *pure.parts[1:]))
