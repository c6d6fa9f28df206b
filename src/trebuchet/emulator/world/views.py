"""What a sandbox sees of its volumes.

`SharedViews` shows the very folder: what one writes the others see at once, and nothing is ever copied.
`IsolatedViews` does as Modal does: a sandbox works on a copy, which is committed every few seconds and at its
end, and sees what others committed when it reloads.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, cast

from trebuchet.emulator.disk import make_private_folder, read_json, write_json
from trebuchet.emulator.process.removal import remove_tree
from trebuchet.emulator.process.spec import Bind
from trebuchet.emulator.world.errors import NotFoundError, WorldError
from trebuchet.emulator.world.trees import Entry, Tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from trebuchet.emulator.world.sandbox import Sandbox, VolumePlace
    from trebuchet.emulator.world.volumes import Volumes

log = logging.getLogger(__name__)

Sharing = Literal["shared", "isolated"]
COMMIT_EVERY_S = 2.0
SYNCED_VERSION = 2
"""On Modal `sync` commits volumes of this version alone."""
FOLDER = "volumes"


class Views(Protocol):
    """Makes volumes visible to sandboxes.

    Attributes:
        can_lose_volumes: Whether a sandbox goes on without a volume that is deleted.
    """

    can_lose_volumes: bool

    async def open(self, sandbox: Sandbox) -> list[Bind]:
        """What to show in a sandbox that is about to start.

        Raises:
            WorldError: A volume is gone.
        """
        ...

    async def keep(self, sandbox: Sandbox) -> None:
        """Commit now and then, until cancelled."""
        ...

    async def reload(self, sandbox: Sandbox) -> None:
        """Show what others have committed."""
        ...

    async def sync(self, sandbox: Sandbox) -> None:
        """Commit what `sync` within a sandbox does: volumes of version 2."""
        ...

    async def close(self, sandbox: Sandbox) -> None:
        """Commit for the last time: the sandbox has ended."""
        ...


class SharedViews:
    """Every sandbox sees the volume's own folder."""

    can_lose_volumes = False

    def __init__(self, volumes: Volumes) -> None:
        self._volumes = volumes

    async def open(self, sandbox: Sandbox) -> list[Bind]:
        """The folders themselves."""
        return [
            _bind(place, _source(self._volumes, place), root=self._volumes.root(place.volume_id))
            for place in sandbox.ask.volumes
        ]

    async def keep(self, sandbox: Sandbox) -> None:
        """There is nothing to commit."""

    async def reload(self, sandbox: Sandbox) -> None:
        """There is nothing to fetch."""

    async def sync(self, sandbox: Sandbox) -> None:
        """There is nothing to commit."""

    async def close(self, sandbox: Sandbox) -> None:
        """There is nothing to commit."""


@dataclass(frozen=True)
class _Copy:
    """A sandbox's copy of a volume, and how it was when it was last the same as the volume."""

    place: VolumePlace
    folder: Path
    note: Path

    @property
    def base(self) -> dict[str, Entry]:
        try:
            known = cast("dict[str, tuple[int, int, int, str]]", read_json(self.note) or {})
            return {path: Entry(*values) for path, values in known.items()}
        except (ValueError, TypeError):  # damaged: all that the copy holds counts as changed, none as removed
            log.error("%s cannot be read", self.note)  # noqa: TRY400 - where it broke says nothing
            return {}

    def now_like(self, entries: Mapping[str, Entry]) -> None:
        write_json(self.note, {path: list(entry) for path, entry in entries.items()})


class IsolatedViews:
    """Every sandbox has a copy of its own."""

    can_lose_volumes = True

    def __init__(self, volumes: Volumes) -> None:
        self._volumes = volumes
        self._turns: dict[str, asyncio.Lock] = {}

    async def open(self, sandbox: Sandbox) -> list[Bind]:
        """Copies, as the volumes are now."""
        for copy in self._copies(sandbox):
            async with self._turn(copy):
                await asyncio.to_thread(self._begin, copy)
        return [_bind(copy.place, copy.folder) for copy in self._copies(sandbox)]

    async def keep(self, sandbox: Sandbox) -> None:
        """Commit every few seconds."""
        while any(not place.read_only for place in sandbox.ask.volumes):
            await asyncio.sleep(COMMIT_EVERY_S)
            await asyncio.shield(self._commit_all(sandbox))  # what has begun keeps its turn

    async def reload(self, sandbox: Sandbox) -> None:
        """Commit, then take what has changed in the volumes."""
        await self._commit_all(sandbox)
        for copy in self._copies(sandbox):
            async with self._turn(copy):
                await asyncio.to_thread(self._refresh, copy)

    async def sync(self, sandbox: Sandbox) -> None:
        """Commit copies of volumes of version 2."""
        heeding = (copy for copy in self._copies(sandbox) if self._heeds_sync(copy))
        await self._commit_each(sandbox, heeding)

    def _heeds_sync(self, copy: _Copy) -> bool:
        with suppress(NotFoundError):
            return self._volumes.get(copy.place.volume_id).version == SYNCED_VERSION
        return False

    async def close(self, sandbox: Sandbox) -> None:
        """Commit, and remove the copies."""
        await self._commit_all(sandbox)
        folder = sandbox.folder / FOLDER
        if folder.is_dir():
            await asyncio.to_thread(remove_tree, folder)

    async def _commit_all(self, sandbox: Sandbox) -> None:
        await self._commit_each(sandbox, self._copies(sandbox))

    async def _commit_each(self, sandbox: Sandbox, copies: Iterable[_Copy]) -> None:
        for copy in copies:
            if copy.place.read_only or not copy.note.exists():
                continue
            async with self._turn(copy):
                try:
                    await asyncio.to_thread(self._commit, copy)
                except (WorldError, OSError) as error:
                    log.warning(
                        "what %s wrote to %s is not committed: %s", sandbox.id, copy.place.path, error
                    )

    def _copies(self, sandbox: Sandbox) -> Iterator[_Copy]:
        for number, place in enumerate(sandbox.ask.volumes):
            folder = sandbox.folder / FOLDER
            yield _Copy(place, folder / str(number), folder / f"{number}.json")

    def _turn(self, copy: _Copy) -> asyncio.Lock:
        return self._turns.setdefault(copy.place.volume_id, asyncio.Lock())

    def _begin(self, copy: _Copy) -> None:
        source = _source(self._volumes, copy.place)
        volume = self._tree(copy)
        make_private_folder(copy.folder.parent)
        copy.folder.mkdir(exist_ok=True)
        copy.folder.chmod(source.stat().st_mode & 0o7777)
        entries = volume.scan()
        Tree(copy.folder).take(volume, entries)
        copy.now_like(entries)

    def _commit(self, copy: _Copy) -> None:
        ours, base = Tree(copy.folder), copy.base
        now = ours.scan()
        if now == base:
            return
        volume = self._tree(copy)
        volume.drop(path for path in base if path not in now)
        volume.take(ours, [path for path, entry in now.items() if base.get(path) != entry])
        copy.now_like(now)

    def _refresh(self, copy: _Copy) -> None:
        volume, ours, base = self._tree(copy), Tree(copy.folder), copy.base
        now = volume.scan()
        if now == base:
            return
        ours.drop(path for path in base if path not in now)
        ours.take(volume, [path for path, entry in now.items() if base.get(path) != entry])
        copy.now_like(now)

    def _tree(self, copy: _Copy) -> Tree:
        root = self._volumes.root(copy.place.volume_id)
        return Tree(root, str(_source(self._volumes, copy.place).relative_to(root)))


def _source(volumes: Volumes, place: VolumePlace) -> Path:
    return volumes.place(place.volume_id, place.sub_path)


def _bind(place: VolumePlace, source: Path, *, root: Path | None = None) -> Bind:
    return Bind(source=source, target=place.path, read_only=place.read_only, root=root)
