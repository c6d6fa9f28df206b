"""Where the bytes of a stretch go: into a draft, or beside it, to see whether it says the same."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading
    from pathlib import Path

_ZEROS = bytes(1 << 16)


class StoppedError(OSError):
    """The transfer was given up, so nothing is written any more."""


class Sink:
    """Takes a stretch of a draft, with the methods of a file that the SDK's reader wants.

    Args:
        descriptor: Of the draft; closed with this.
        stopped: Set when nothing is to be written any more.
        target: What the file is to be called.

    Attributes:
        failure: What kept it from being written; the SDK tells it in words of its own.
    """

    def __init__(self, descriptor: int, stopped: threading.Event, *, target: Path) -> None:
        self._descriptor = descriptor
        self._stopped = stopped
        self._target = target
        self._at = 0
        self.failure: OSError | None = None

    def seek(self, offset: int, _whence: int = 0) -> int:
        self._at = offset
        return offset

    def tell(self) -> int:
        return self._at

    def write(self, data: bytes) -> int:
        """Write at the place it stands at."""
        if self._stopped.is_set():
            raise StoppedError("The transfer was given up.")
        taken = self._take(data)
        self._at += taken
        return taken

    def close(self) -> None:
        os.close(self._descriptor)

    def _take(self, data: bytes) -> int:
        try:
            return len(data) if self._is_a_hole(data) else os.pwrite(self._descriptor, data, self._at)
        except OSError as error:
            self.failure = OSError(error.errno, error.strerror, str(self._target))
            raise

    def _is_a_hole(self, data: bytes) -> bool:
        """Whether just these bytes are there already, being nothing but zeros."""
        if data[0] or not all(
            data.startswith(_ZEROS[: len(data) - at], at) for at in range(0, len(data), len(_ZEROS))
        ):
            return False
        return self._has(data)

    def _has(self, data: bytes) -> bool:
        return os.pread(self._descriptor, len(data), self._at) == data


class Comparing(Sink):
    """Writes nothing, and tells whether what comes is what the draft has.

    Attributes:
        differs: Whether some of it was not.
    """

    differs = False

    def _take(self, data: bytes) -> int:
        self.differs = self.differs or not self._has(data)
        return len(data)
