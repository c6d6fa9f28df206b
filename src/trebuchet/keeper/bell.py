"""The pipe that wakes a keeper, from this process and from others."""

from __future__ import annotations

import contextlib
import os
import select
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Bell:
    """A named pipe that its keeper reads. Others write to it as `handoff` does.

    Args:
        place: Of the pipe; made if it is missing. Only who has the keeper's lock may make one.
    """

    def __init__(self, place: Path) -> None:
        self._place = place
        self._pipe = self._hung()

    def _hung(self) -> int:
        with contextlib.suppress(FileExistsError):
            os.mkfifo(self._place, 0o600)
        # For reading and writing, so that there is always a writer and a read never meets the end.
        return os.open(self._place, os.O_RDWR | os.O_NONBLOCK)

    def ring(self) -> None:
        """Wake the keeper, from another thread of it."""
        with contextlib.suppress(BlockingIOError):  # It is full of calls to wake up.
            os.write(self._pipe, b"!")

    def wait(self, seconds: float) -> bool:
        """Wait until somebody rings, for so long at most; whether somebody did."""
        readable, _, _ = select.select([self._pipe], [], [], seconds)
        if readable:
            with contextlib.suppress(BlockingIOError):
                os.read(self._pipe, 65_536)
        return bool(readable)

    def take_down(self) -> bool:
        """Let nobody find it any more; False where somebody rang before that, and then it hangs again.

        Who rings once it is gone notices that, so no call is lost between the last look here and the end.
        """
        self._place.unlink(missing_ok=True)
        if not self.wait(0):
            return True
        self._pipe = self._hung()  # The old one stays open: a thread may be about to write to it.
        return False
