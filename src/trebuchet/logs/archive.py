"""The archive of one attempt's log: a file of compressed blocks that is appended to, and survives any end.

A block is whole or it is not there: its head gives its length and a checksum, and whoever opens the file to
write cuts off what a writer that was killed left half done. Heads also give times, so that the end of a long
log, or the part after a given time, is read without the rest. The raw entries are kept, markers included:
what is shown of them is for the reader to choose.
"""

from __future__ import annotations

import fcntl
import os
import struct
import sys
import time
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, cast

from trebuchet.logs.counter import Counter, is_past
from trebuchet.logs.place import microseconds, moment_of
from trebuchet.settings import make_missing_folder
from trebuchet.status import LogEntry, LogPosition, LogSource

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_HEAD = struct.Struct("<4sIIIqqI")
"""A mark, the length as stored, the length unpacked, the checksum as stored, first and last time in
microseconds, and how many entries of the last time there were up to here."""

_BLOCK = b"TLB1"
_END = b"TLE1"
_ENTRY = struct.Struct("<qBI")
_SOURCES: tuple[LogSource, ...] = ("stdout", "stderr", "system")
_CODES = {source: code for code, source in enumerate(_SOURCES)}

_BLOCK_BYTES = 1 << 20
_LONGEST_DELAY_S = 2.0
"""How long what was written may wait in memory; what a kill loses is read again from the control plane."""

_LEVEL = 1
SUFFIX = ".log.zst"


class _Block(NamedTuple):
    kind: bytes
    offset: int
    length: int
    checksum: int
    first: int
    last: int
    count_at_last: int

    @property
    def end(self) -> LogPosition:
        return LogPosition(moment_of(self.last), self.count_at_last)


class DamagedArchiveError(Exception):
    """Entries of an archive cannot be read. Whoever reads it goes on elsewhere, so nobody else sees this.

    Attributes:
        until: The position after the last of them.
    """

    def __init__(self, message: str, *, until: LogPosition) -> None:
        super().__init__(message)
        self.until = until


@dataclass(frozen=True, slots=True)
class _Survey:
    """Blocks of a file: all that are whole."""

    blocks: list[_Block]
    size: int

    @property
    def complete(self) -> bool:
        return bool(self.blocks) and self.blocks[-1].kind == _END

    @property
    def position(self) -> LogPosition | None:
        held = [block for block in self.blocks if block.kind == _BLOCK]
        return held[-1].end if held else None


class Held(NamedTuple):
    """What an archive has.

    Attributes:
        position: After its last entry; None where it has none.
        complete: Whether that is the log's end.
    """

    position: LogPosition | None
    complete: bool


class Archive:
    """One attempt's log as far as it was written down.

    Args:
        path: The file; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def survey(self) -> Held:
        """How far it goes."""
        found = self._survey()
        return Held(found.position, found.complete)

    def read(self, after: LogPosition | None = None) -> Iterator[LogEntry]:
        """Its entries, oldest first, one block in memory at a time; those behind `after` alone.

        Raises:
            DamagedArchiveError: The next ones cannot be read; from its `until` on there may be more.
        """
        counter = Counter()
        with self._opened() as file:
            for block in _survey(file).blocks:
                if block.kind != _BLOCK:
                    continue
                if not is_past(block.end, after):
                    counter = Counter(block.end)
                    continue
                for entry in self._entries(file, block):
                    if is_past(counter.count(entry), after):
                        yield entry

    def read_end(self) -> Iterator[list[LogEntry]]:
        """Its entries, the last block first; within a block the oldest first.

        Raises:
            DamagedArchiveError: The next block cannot be read.
        """
        with self._opened() as file:
            for block in reversed(_survey(file).blocks):
                if block.kind == _BLOCK:
                    yield list(self._entries(file, block))

    def writer(self) -> ArchiveWriter | None:
        """The right to append; None where another process has it, or there is nothing more to write."""
        make_missing_folder(self.path.parent)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        file = cast("BinaryIO", os.fdopen(descriptor, "r+b", buffering=0))
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        found = _survey(file)
        if found.complete:
            file.close()
            return None
        file.truncate(found.size)
        file.seek(found.size)
        return ArchiveWriter(file, found.position)

    def _entries(self, file: BinaryIO, block: _Block) -> Iterator[LogEntry]:
        packed = os.pread(file.fileno(), block.length, block.offset)
        damage = DamagedArchiveError(f"{self.path} is damaged.", until=block.end)
        if zlib.crc32(packed) != block.checksum:
            raise damage
        try:
            data = zstd.decompress(packed)
        except zstd.ZstdError as error:
            raise damage from error
        return _unpacked(memoryview(data))

    def _survey(self) -> _Survey:
        with self._opened() as file:
            return _survey(file)

    def _opened(self) -> BinaryIO:
        try:
            return self.path.open("rb")
        except FileNotFoundError:
            return cast("BinaryIO", open(os.devnull, "rb"))  # noqa: PTH123 - closed by the caller


class ArchiveWriter:
    """Appends entries, those that are there already left out. Made by `Archive.writer`."""

    def __init__(self, file: BinaryIO, position: LogPosition | None) -> None:
        self._file = file
        self._written = position
        self._counter = Counter(position)
        self._pieces: list[bytes] = []
        self._size = 0
        self._first = 0
        self._due = 0.0

    @property
    def position(self) -> LogPosition | None:
        """After the last entry that it has."""
        return self._counter.position

    def append(self, entry: LogEntry) -> None:
        """Add the entry that follows the last one."""
        position = self._counter.count(entry)
        now = time.monotonic()
        if not self._pieces:
            self._first, self._due = microseconds(position.timestamp), now + _LONGEST_DELAY_S
        data = entry.message.encode("utf-8", "surrogatepass")
        head = _ENTRY.pack(microseconds(position.timestamp), _CODES[entry.source], len(data))
        self._pieces += (head, data)
        self._size += len(head) + len(data)
        if self._size >= _BLOCK_BYTES or now >= self._due:
            self.flush()

    def flush(self) -> None:
        """Hand what waits to the system."""
        position = self._counter.position
        if self._pieces and position is not None:
            packed, self._pieces = zstd.compress(b"".join(self._pieces), level=_LEVEL), []
            self._write(_BLOCK, packed, self._first, position)
            self._size = 0

    def complete(self) -> None:
        """Say that the log has no more entries, and close the file."""
        self.flush()
        self._write(_END, b"", 0, LogPosition(moment_of(0), 0))
        os.fsync(self._file.fileno())
        self._file.close()

    def close(self) -> None:
        """Stop here; a later writer goes on.

        Raises:
            OSError: What waited could not be written; the file is closed all the same.
        """
        if self._file.closed:
            return
        try:
            self.flush()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Close the file without what waits."""
        self._pieces.clear()
        self._file.close()

    def _write(self, kind: bytes, packed: bytes, first: int, last: LogPosition) -> None:
        head = _HEAD.pack(
            kind, len(packed), self._size, zlib.crc32(packed), first, microseconds(last.timestamp), last.count
        )
        left = memoryview(head + packed)
        while left:  # It is not buffered, so that what a full disk refuses is not tried again at the end.
            left = left[self._file.write(left) :]


def _survey(file: BinaryIO) -> _Survey:
    """Find the whole blocks by their heads; of the last one the checksum is looked at too."""
    blocks: list[_Block] = []
    offset, size = 0, os.fstat(file.fileno()).st_size
    while offset + _HEAD.size <= size:
        kind, length, _, checksum, first, last, count = _HEAD.unpack(
            os.pread(file.fileno(), _HEAD.size, offset)
        )
        end = offset + _HEAD.size + length
        if kind not in {_BLOCK, _END} or end > size:
            break
        blocks.append(_Block(kind, offset + _HEAD.size, length, checksum, first, last, count))
        offset = end
    while blocks and not _is_sound(file, blocks[-1]):
        offset = blocks.pop().offset - _HEAD.size
    return _Survey(blocks, offset)


def _is_sound(file: BinaryIO, block: _Block) -> bool:
    return zlib.crc32(os.pread(file.fileno(), block.length, block.offset)) == block.checksum


def _unpacked(data: memoryview) -> Iterator[LogEntry]:
    offset = 0
    while offset < len(data):
        stamp, code, length = cast("tuple[int, int, int]", _ENTRY.unpack_from(data, offset))
        offset += _ENTRY.size
        message = str(data[offset : offset + length], "utf-8", "surrogatepass")
        offset += length
        yield LogEntry(moment_of(stamp), _SOURCES[code], message)
