"""The daemon's log, which never fills the disk: anybody who can connect can make the daemon complain."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

from trebuchet.emulator.endpoint import log_path

if TYPE_CHECKING:
    from pathlib import Path

MOST = 8 << 20
"""Bytes of log that are kept; when there are more, the older half goes."""
LONGEST_RECORD = 8_000
"""Characters of one record."""


def keep_log(state: Path) -> None:
    """Let this process's log go to its standard error; where that is the daemon's log, it stays bounded."""
    handler = DaemonLog(sys.stderr, log_path(state))
    logging.basicConfig(
        level=logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        handlers=[handler],
    )
    handler.shorten()


class DaemonLog(logging.StreamHandler[TextIO]):
    """Writes records to a stream, and keeps the newest where that is a certain file."""

    def __init__(self, stream: TextIO, path: Path, *, most: int = MOST) -> None:
        """Write to a stream.

        Args:
            stream: Where to; open for appending where it is the file.
            path: The file.
            most: How many bytes it may have.
        """
        super().__init__(stream)
        self._path = path
        self._most = most

    def format(self, record: logging.LogRecord) -> str:
        """As usual, and no longer than is sensible."""
        text = super().format(record)
        left_out = len(text) - LONGEST_RECORD
        return text if left_out <= 0 else f"{text[:LONGEST_RECORD]}… ({left_out} characters are left out)"

    def emit(self, record: logging.LogRecord) -> None:
        """Write one."""
        super().emit(record)
        self.shorten()

    def shorten(self) -> None:
        """Let the older half go where there is too much, and say so."""
        with suppress(OSError, ValueError):  # a log that cannot be shortened stops nothing
            known = os.fstat(self.stream.fileno())
            if known.st_size > self._most and os.path.samestat(known, self._path.stat()):
                self._keep_newest(known.st_size)

    def _keep_newest(self, size: int) -> None:
        file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        try:
            newest = os.pread(file, self._most // 2, size - self._most // 2)
            newest = newest[newest.find(b"\n") + 1 :]
            os.ftruncate(file, 0)
            os.write(file, f"({size - len(newest)} bytes of older log were dropped here)\n".encode() + newest)
        finally:
            os.close(file)
