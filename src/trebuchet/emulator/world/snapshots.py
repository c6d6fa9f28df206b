"""Snapshots: images made of what a sandbox has written, or of one of its folders."""

from __future__ import annotations

import asyncio
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

    @property
    def busy(self) -> bool:
        """Whether one is being taken."""
        return bool(self._taking)

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
                key=image_id,
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
            return Built(id=image_id, folder=layer, key=image_id, built_at=time.time())

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
        await _speaking(place_folder(self._host, sandbox.process, place, Path(source) if source else None))

    async def unmount(self, sandbox: Sandbox, path: str) -> None:
        """Show again what was at a path before.

        Raises:
            InvalidError: The path is not absolute.
            ConflictError: The sandbox does not run, or nothing is mounted there.
        """
        await _speaking(take_away(self._host, sandbox.process, _checked(path)))

    async def sweep(self, used: Collection[str]) -> None:
        """Remove those whose time is up, but what others are made of.

        Args:
            used: The images of the sandboxes that are alive.
        """
        gone = {image.id for image in self._images.expired()} - set(used)
        builds = self._builds.all()
        kept = {layer for built in builds if built.id not in gone for layer in (*built.layers, built.folder)}
        for built in builds:
            if built.id in gone:
                self._images.delete(built.id)
                self._builds.forget(built.id)
                layer = built.folder or built.layers[-1]
                if layer not in kept:
                    await asyncio.to_thread(remove_tree, Path(layer))

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
            draft.rename(place)
        finally:
            if draft.is_dir():
                await asyncio.to_thread(remove_tree, draft)
        return str(place)


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
