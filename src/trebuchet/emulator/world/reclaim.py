"""What of the disk can be had back: what nothing that is alive needs, and nobody is about to ask for.

All is decided and moved out of the way between two steps of the event loop, so that no sandbox can begin to
use what goes; the deleting itself, and looking how old the files of volumes are, take long and are done in a
thread.
"""

from __future__ import annotations

import asyncio
import os
import stat
import time
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from trebuchet.emulator.disk import make_private_folder
from trebuchet.emulator.images.cleaning import prunable, prune
from trebuchet.emulator.process.removal import remove_tree
from trebuchet.emulator.process.supervise import framing
from trebuchet.emulator.process.supervise.written import written

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from trebuchet.emulator.world.volumes import Volume
    from trebuchet.emulator.world.world import World

Kind = Literal["overlay", "sandbox", "image", "layer", "mount", "content", "volume", "unpacked"]
UNFINISHED_S = 24 * 3600.0
"""What was begun and not finished for so long never will be."""
_SETTLED_S = 60.0
"""For so long after a sandbox's end what it wrote may still be being removed, and its maker ask for it."""
_UPLOAD_S = 3600.0
"""For so long what was sent may wait for the call that says what it is of."""
_TRASH = "trash"
_BLOCK = 512


@dataclass(frozen=True, kw_only=True)
class Reclaimable:
    """Something that can go.

    Attributes:
        kind: `overlay`: what an ended sandbox wrote; `sandbox`: an ended one with its log; `image`: one that
            was built; `layer`: files of images that no image has any more; `unpacked`: files from registries,
            likewise; `mount`: files that were sent, put together; `content`: what they held; `volume`: a
            volume with all that is in it.
        id: Which one.
        size: Bytes on disk.
        why: In words.
    """

    kind: Kind
    id: str
    size: int
    why: str
    places: tuple[Path, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """How much is to go.

    Attributes:
        older_than_s: What was used since is kept, where it may be wanted again.
        volumes: Whether volumes are among it: nothing brings back what is in them.
    """

    older_than_s: float
    volumes: bool = False


class Reclaim:
    """Finds and removes what can go of one engine's state."""

    def __init__(self, state: Path, world: World) -> None:
        self._state = state
        self._world = world

    async def find(self, wanted: Wanted) -> list[Reclaimable]:
        """What can go now, with its size."""
        found = list(self._found(wanted, await self._unchanged_volumes(wanted)))
        measured = await asyncio.to_thread(lambda: [_measured(one) for one in found])
        return [*measured, *_unpacked(await asyncio.to_thread(self._unpacked, wanted))]

    async def remove(self, wanted: Wanted) -> list[Reclaimable]:
        """Remove what can go; what went, with its size."""
        trash = make_private_folder(self._state / _TRASH)
        unchanged = await self._unchanged_volumes(wanted)
        moved: list[Reclaimable] = []
        # From here on nothing may be awaited until all is out of the way.
        for one in list(self._found(wanted, unchanged)):
            self._forget(one)
            places = tuple(place.rename(trash / uuid.uuid4().hex) for place in one.places)
            moved.append(replace(one, places=places))
        gone = await asyncio.to_thread(lambda: [_measured(one) for one in moved])
        await asyncio.to_thread(_empty, trash)  # what a daemon that was killed at this left included
        size = await asyncio.to_thread(prune, self._state / "registry", self._roots_in_use)
        return [*gone, *_unpacked(size)]

    # ── what can go ──

    def _found(self, wanted: Wanted, unchanged_volumes: Iterable[Volume]) -> Iterator[Reclaimable]:
        before = _before(wanted)
        yield from self._sandboxes(before)
        yield from self._images(before)
        mounts = self._old_mounts(before)
        yield from self._mounts(mounts)
        yield from self._contents(mounts, min(before, time.time() - _UPLOAD_S))
        yield from self._volumes(unchanged_volumes)

    def _sandboxes(self, before: float) -> Iterator[Reclaimable]:
        alive = {sandbox.id for sandbox in self._world.sandboxes.running()}
        for folder in (self._state / "sandboxes").iterdir():
            if folder.name in alive:
                continue
            ended_at = _changed_at(folder / "journal")
            if ended_at < before:
                yield Reclaimable(kind="sandbox", id=folder.name, size=0, why="it ended", places=(folder,))
                continue
            written_to = [folder / "process" / name for name in (framing.ROOT, framing.WORK)]
            left = tuple(place for place in written_to if place.is_dir())
            if left and ended_at < time.time() - _SETTLED_S:
                yield Reclaimable(
                    kind="overlay", id=folder.name, size=0, why="its sandbox ended", places=left
                )

    def _images(self, before: float) -> Iterator[Reclaimable]:
        if self._world.builds.running or self._world.snapshots.busy:
            return
        used = self._images_in_use(before)
        kept = set(self._layers_of(used))
        for built in self._world.builds.all():
            if built.id not in used:
                yield Reclaimable(kind="image", id=built.id, size=0, why=self._why_image_goes(built.id))
        unfinished = time.time() - UNFINISHED_S
        for layer in (self._state / "layers").iterdir():
            if str(layer) not in kept and (
                not layer.name.startswith("making") or _changed_at(layer) < unfinished
            ):
                yield Reclaimable(kind="layer", id=layer.name, size=0, why="no image has it", places=(layer,))

    def _images_in_use(self, before: float) -> set[str]:
        """Images that a live sandbox has, or a name, or not old; all snapshots, which nobody builds."""
        images = {image.id: image for image in self._world.images.all()}
        used = {sandbox.ask.image_id for sandbox in self._world.sandboxes.running()}
        used |= self._world.image_names.meant()
        for built in self._world.builds.all():
            image = images.get(built.id)
            if image is not None and (image.snapshot or built.built_at >= before):
                used.add(built.id)
        return used

    def _why_image_goes(self, image_id: str) -> str:
        known = self._world.images.peek(image_id)
        return "it was deleted, or has expired" if known is None else "no sandbox has it"

    def _layers_of(self, image_ids: Collection[str]) -> Iterator[str]:
        for built in self._world.builds.all():
            if built.id in image_ids:
                yield from (built.folder, *built.layers)

    def _roots_in_use(self) -> Collection[Path] | None:
        """The files from registries that images have; None where one is just being made."""
        if self._world.builds.running:
            return None
        return {Path(built.root) for built in self._world.builds.all() if built.root}

    def _unpacked(self, wanted: Wanted) -> int:
        """Bytes of the files from registries that no image will have."""
        used = self._images_in_use(_before(wanted))
        kept = {Path(built.root) for built in self._world.builds.all() if built.root and built.id in used}
        return 0 if self._world.builds.running else prunable(self._state / "registry", kept)

    def _old_mounts(self, before: float) -> dict[str, tuple[Path, ...]]:
        """What can go of each mount: its folder, which can be put together again, or all of it."""
        used = {mount for sandbox in self._world.sandboxes.running() for mount in sandbox.ask.mount_ids}
        used |= {place for built in self._world.builds.all() for place in map(_name, built.layers)}
        used |= {image.context_mount_id for image in self._world.images.all()}
        found: dict[str, tuple[Path, ...]] = {}
        for mount_id, note in self._world.mounts.all().items():
            folder = self._world.mounts.folder(mount_id)
            folders = (folder,) if folder.is_dir() else ()
            if mount_id in used or any(_changed_at(each) >= before for each in folders):
                continue
            if places := (note, *folders) if _changed_at(note) < before else folders:
                found[mount_id] = places
        return found

    def _mounts(self, mounts: Mapping[str, tuple[Path, ...]]) -> Iterator[Reclaimable]:
        for mount_id, places in mounts.items():
            yield Reclaimable(kind="mount", id=mount_id, size=0, why="no sandbox has it", places=places)

    def _contents(self, mounts: Mapping[str, tuple[Path, ...]], before: float) -> Iterator[Reclaimable]:
        notes = self._world.mounts.all()
        kept = {mount_id for mount_id, note in notes.items() if note not in mounts.get(mount_id, ())}
        unused = self._world.content.unused(self._world.mounts.digests(kept), before)
        if unused:
            places = tuple(unused)
            yield Reclaimable(kind="content", id="content", size=0, why="no mount has it", places=places)

    async def _unchanged_volumes(self, wanted: Wanted) -> list[Volume]:
        """Volumes that nobody has and nobody changed lately: a look at each file, in a thread."""
        if not wanted.volumes:
            return []
        began, before = time.time(), _before(wanted)
        places = {volume: self._world.volumes.folder(volume.id) for volume in self._idle_volumes(began)}
        old = await asyncio.to_thread(
            lambda: {one for one, place in places.items() if _newest(place) < before}
        )
        return [volume for volume in self._idle_volumes(began) if volume in old]

    def _idle_volumes(self, since: float) -> Iterator[Volume]:
        """Those that no sandbox has, and whose files nobody came to change since a moment."""
        used = {place.volume_id for one in self._world.sandboxes.running() for place in one.ask.volumes}
        for volume in self._world.volumes.all():
            # What was begun before that may still go on.
            if volume.id not in used and not self._world.volumes.wanted_since(volume.id, since - _SETTLED_S):
                yield volume

    def _volumes(self, unchanged: Iterable[Volume]) -> Iterator[Reclaimable]:
        for volume in unchanged:
            place, name = self._world.volumes.folder(volume.id), volume.name or "it has no name"
            yield Reclaimable(kind="volume", id=volume.id, size=0, why=name, places=(place,))

    # ── removing ──

    def _forget(self, one: Reclaimable) -> None:
        if one.kind == "sandbox":
            self._world.sandboxes.forget(one.id)
        elif one.kind == "image":
            self._world.builds.forget(one.id)
        elif one.kind == "volume":
            self._world.volumes.forget(one.id)


def _before(wanted: Wanted) -> float:
    """What was used since this moment (seconds since the epoch) is kept."""
    return time.time() - max(wanted.older_than_s, _SETTLED_S)


def _unpacked(size: int) -> Iterator[Reclaimable]:
    if size:
        yield Reclaimable(kind="unpacked", id="registry", size=size, why="no image has it")


def _empty(trash: Path) -> None:
    for place in trash.iterdir():
        if place.is_dir():
            remove_tree(place)
        else:
            place.unlink()


def _measured(one: Reclaimable) -> Reclaimable:
    measure = _own if one.kind == "mount" else _whole
    return replace(one, size=sum(map(measure, one.places)))


def _whole(place: Path) -> int:
    return written(str(place)) if place.is_dir() else place.lstat().st_blocks * _BLOCK


def _own(place: Path) -> int:
    """What a mount takes beside the content that it links to."""
    inside = [Path(parent, name) for parent, _, names in os.walk(place) for name in names]
    known = [path.lstat() for path in (place, *inside)]
    return sum(one.st_blocks * _BLOCK for one in known if one.st_nlink == 1 or stat.S_ISDIR(one.st_mode))


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _changed_at(path: Path) -> float:
    """Seconds since the epoch; now for what has just gone."""
    try:
        return path.lstat().st_mtime
    except FileNotFoundError:
        return time.time()


def _newest(folder: Path) -> float:
    """When anything in a folder was changed last."""
    newest = _changed_at(folder)
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            newest = max(newest, _changed_at(Path(parent, name)))
    return newest
