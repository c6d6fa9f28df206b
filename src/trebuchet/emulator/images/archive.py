"""A layer's archive as a stream of tar, whatever it is packed with, hashed as it is read."""

from __future__ import annotations

import gzip
import hashlib
import io
import sys
from typing import TYPE_CHECKING, BinaryIO, cast

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from pathlib import Path

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_SKIPPABLE = range(0x184D2A50, 0x184D2A60)
"""Frames that Zstandard's readers pass over; some tools put one first."""
_WIDEST_WINDOW_LOG = 27
"""128 MiB: what the widest setting of the `zstd` program asks for."""
_CHUNK = 1 << 20

BROKEN = (EOFError, gzip.BadGzipFile, zstd.ZstdError, io.UnsupportedOperation)
"""What reading a damaged archive raises, besides `zlib.error`."""


class TarStream:
    """What the tar reader reads from. Closing it closes the file."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._plain = _unpacked(self._file)
        self._hash = hashlib.sha256()
        self.size = 0

    def read(self, size: int = -1) -> bytes:
        data = self._plain.read(size)
        self._hash.update(data)
        self.size += len(data)
        return data

    def finish(self) -> str:
        """Read what is left, and tell what all of it hashes to."""
        while self.read(_CHUNK):
            pass
        return f"sha256:{self._hash.hexdigest()}"

    def position(self) -> int:
        """How many bytes of the file have been taken in."""
        return self._file.tell()

    def close(self) -> None:
        self._plain.close()
        self._file.close()


def _unpacked(file: BinaryIO) -> BinaryIO:
    # By what the bytes say: the media types of layers are known to be wrong at times.
    head = file.read(4)
    file.seek(0)
    if head.startswith(_GZIP):
        return cast("BinaryIO", gzip.GzipFile(fileobj=file))
    if head == _ZSTD or int.from_bytes(head, "little") in _SKIPPABLE:
        options = {int(zstd.DecompressionParameter.window_log_max): _WIDEST_WINDOW_LOG}
        return cast("BinaryIO", zstd.ZstdFile(file, options=options))
    return file
