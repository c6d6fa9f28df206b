"""Standard input, written by callers that repeat themselves when an answer is lost."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trebuchet.emulator.process.errors import NotRunningError
from trebuchet.emulator.process.state import sandbox_of
from trebuchet.emulator.world.errors import ConflictError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trebuchet.emulator.process.host import ProcessHost


@dataclass
class _Input:
    """How far one process's input has come, part by part: a caller may go in the middle of what he sends.

    Attributes:
        lock: Held by whoever writes.
        written: Bytes, of those that come with an offset; None before the first of them.
        index: The number of the last piece that was written whole, of those that come with a number.
        begun: The number of the last piece that was begun.
        of_begun: Bytes written of that one.
    """

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    written: int | None = None
    index: int = 0
    begun: int = 0
    of_begun: int = 0


class Inputs:
    """How much of each process's input has been written."""

    def __init__(self, host: ProcessHost) -> None:
        self._host = host
        self._inputs: dict[Path, dict[Path, _Input]] = {}
        """By the sandbox's folder, then by the process's own."""

    async def write_at(self, folder: Path, offset: int, data: bytes, *, eof: bool) -> None:
        """Write the bytes from an offset on; those that were written before are skipped.

        Raises:
            ConflictError: The process does not run, or takes no more input.
        """
        known = self._input(folder)
        async with known.lock:
            # An earlier daemon's count is lost: then the caller's offset is believed.
            before = offset if known.written is None else known.written
            fresh = data[max(before - offset, 0) :]
            known.written = max(before, offset)

            def count(written: int) -> None:
                known.written = (known.written or 0) + written

            await self._write(folder, fresh, count, eof=eof)

    def written(self, folder: Path) -> int:
        """How many bytes this daemon wrote to a process."""
        known = self._inputs.get(sandbox_of(folder), {}).get(folder)
        return known.written or 0 if known else 0

    async def write_next(self, folder: Path, index: int, data: bytes, *, eof: bool) -> None:
        """Write the piece of this number (from 1 on), unless it was written before.

        Raises:
            ConflictError: The process does not run, or takes no more input.
        """
        known = self._input(folder)
        async with known.lock:
            if index <= known.index:
                return
            if index != known.begun:
                known.begun, known.of_begun = index, 0

            def count(written: int) -> None:
                known.of_begun += written

            await self._write(folder, data[known.of_begun :], count, eof=eof)
            known.index = index

    def forget(self, folder: Path) -> None:
        """Forget a process that has ended; a sandbox with all that ran inside it."""
        sandbox = sandbox_of(folder)
        left = self._inputs.get(sandbox, {})
        left.pop(folder, None)
        if folder == sandbox or not left:
            self._inputs.pop(sandbox, None)

    def _input(self, folder: Path) -> _Input:
        return self._inputs.setdefault(sandbox_of(folder), {}).setdefault(folder, _Input())

    async def _write(
        self, folder: Path, data: bytes, on_written: Callable[[int], None], *, eof: bool
    ) -> None:
        try:
            await self._host.write_stdin(folder, data, eof=eof, on_written=on_written)
        except NotRunningError as error:
            if self._has_ended(folder):
                self.forget(folder)  # its end may be long past, and nobody comes to say so again
            raise ConflictError("The process takes no input any more.") from error

    def _has_ended(self, folder: Path) -> bool:
        try:
            return self._host.state(folder).phase not in {"starting", "running"}
        except NotRunningError:
            return True
