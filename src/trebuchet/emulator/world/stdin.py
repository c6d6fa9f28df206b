"""Standard input, written by callers that repeat themselves when an answer is lost."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from trebuchet.emulator.process.errors import NotRunningError
from trebuchet.emulator.world.errors import ConflictError

if TYPE_CHECKING:
    from pathlib import Path

    from trebuchet.emulator.process.host import ProcessHost


class Inputs:
    """How much of each process's input has been written."""

    def __init__(self, host: ProcessHost) -> None:
        self._host = host
        self._written: dict[Path, int] = {}
        self._index: dict[Path, int] = {}
        self._locks: dict[Path, asyncio.Lock] = {}

    async def write_at(self, folder: Path, offset: int, data: bytes, *, eof: bool) -> None:
        """Write the bytes from an offset on; those that were written before are skipped.

        Raises:
            ConflictError: The process does not run, or takes no more input.
        """
        async with self._locks.setdefault(folder, asyncio.Lock()):
            # An earlier daemon's count is lost: then the caller's offset is believed.
            written = self._written.setdefault(folder, offset)
            fresh = data[max(written - offset, 0) :]
            await self._write(folder, fresh, eof=eof)
            self._written[folder] = max(written, offset + len(data))

    def written(self, folder: Path) -> int:
        """How many bytes this daemon wrote to a process."""
        return self._written.get(folder, 0)

    async def write_next(self, folder: Path, index: int, data: bytes, *, eof: bool) -> None:
        """Write the piece of this number (from 1 on), unless it was written before.

        Raises:
            ConflictError: The process does not run, or takes no more input.
        """
        async with self._locks.setdefault(folder, asyncio.Lock()):
            if index > self._index.get(folder, 0):
                await self._write(folder, data, eof=eof)
                self._index[folder] = index

    def forget(self, folder: Path) -> None:
        """Forget a process that has ended."""
        for known in (self._written, self._index, self._locks):
            known.pop(folder, None)

    async def _write(self, folder: Path, data: bytes, *, eof: bool) -> None:
        try:
            await self._host.write_stdin(folder, data, eof=eof)
        except NotRunningError as error:
            raise ConflictError("The process takes no input any more.") from error
