"""The command `sync` in a sandbox: it commits volumes, as on Modal.

Nothing tells the engine when a sandbox calls it. So whatever was run in one with that word in it commits when
it has ended, before anybody learns of its end.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from trebuchet.emulator.process.host import ProcessHost
    from trebuchet.emulator.world.sandbox import Sandbox
    from trebuchet.emulator.world.views import Views

_SYNC = re.compile(r"(?<![\w.-])sync(?![\w.-])")


class Syncs:
    """The commands that commit at their end and have not done so yet, by their processes' folders."""

    def __init__(self, host: ProcessHost, views: Views) -> None:
        self._host = host
        self._views = views
        self._due: dict[Path, asyncio.Task[None]] = {}

    def note(self, sandbox: Sandbox, folder: Path, argv: Iterable[str]) -> None:
        """A command was started. Again of the same one changes nothing."""
        if folder in self._due or not any(_SYNC.search(word) for word in argv):
            return
        self._due[folder] = asyncio.create_task(self._commit_after(sandbox, folder))
        self._due[folder].add_done_callback(lambda _: self._due.pop(folder, None))

    async def done(self, folder: Path) -> None:
        """Return when what a command that has ended is to commit is committed."""
        if folder in self._due:
            await asyncio.wait([self._due[folder]])

    async def _commit_after(self, sandbox: Sandbox, folder: Path) -> None:
        await self._host.wait_end(folder)
        await self._views.sync(sandbox)
