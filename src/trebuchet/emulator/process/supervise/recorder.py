"""Writes the log of one process."""

from __future__ import annotations

import os
import time

from trebuchet.emulator.process.supervise import framing


class Recorder:
    """Appends records to a log file.

    A full disk or a full log never stops the process: what does not fit is dropped, and a notice in the log
    says how much, as soon as there is room for it.
    """

    def __init__(self, path: str, limit: int) -> None:
        """Open the log.

        Args:
            path: Its file; made if missing.
            limit: Bytes of output it may hold.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(path, flags, 0o600)
        self._room = limit
        self._size = os.fstat(self._descriptor).st_size
        self._dropped = 0
        self._last_ns = 0

    def append(self, stream: int, data: bytes) -> None:
        if self._room < len(data):
            self._drop(len(data), "The log has reached its limit. ")
            return
        if self._dropped:
            self._write(
                framing.NOTICE, f"{self._dropped} bytes of output were lost: the disk was full.\n".encode()
            )
        if self._write(stream, data):
            self._room -= len(data)
        else:
            self._dropped += len(data)

    def close(self) -> None:
        os.close(self._descriptor)

    def _drop(self, count: int, why: str) -> None:
        if self._room >= 0:
            self._write(framing.NOTICE, f"{why}What follows is not kept.\n".encode())
            self._room = -1
        self._dropped += count

    def _write(self, stream: int, data: bytes) -> bool:
        self._last_ns = max(time.time_ns(), self._last_ns + 1)
        head = framing.RECORD.pack(self._last_ns, stream, len(data))
        wanted = len(head) + len(data)
        try:
            written = os.writev(self._descriptor, (head, data))
        except OSError as error:
            if error.errno not in framing.SPACE_IS_SHORT:
                raise
            return False
        if written < wanted:
            os.ftruncate(self._descriptor, self._size)
            return False
        self._size += wanted
        if stream == framing.NOTICE:
            self._dropped = 0
        return True
