"""What a build prints, kept on disk and followed by whoever waits for it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

LIMIT = 4 << 20
"""Bytes that are kept of one build."""


class BuildLog:
    """One build's output: a file that grows, and a bell that rings when it does."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._changed = asyncio.Event()
        self._size = 0
        path.write_bytes(b"")
        path.chmod(0o600)

    def write(self, text: str) -> None:
        """Add to it."""
        data = text.encode(errors="replace")[: LIMIT - self._size]
        if data:
            with self._path.open("ab") as file:
                file.write(data)
            self._size += len(data)
        self.ring()

    def ring(self) -> None:
        """Wake those who wait."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait(self, timeout_s: float) -> None:
        """Until there is more, or the time is up."""
        try:
            await asyncio.wait_for(self._changed.wait(), timeout_s)
        except TimeoutError:
            return
