"""The log of one process: what it printed, as framed and timestamped records in one file.

The supervisor appends, and anybody reads, at any time, from any offset that an earlier read returned. A
record that is only half there (it is being written, or its writer was killed) reads as not there yet.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from trebuchet.emulator.process.supervise.framing import NOTICE, RECORD, STDERR, STDOUT

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["NOTICE", "STDERR", "STDOUT", "LogRecord", "RecordHead", "read_end", "read_heads", "read_records"]


_HEADS_READ = 8 << 10
"""Bytes read at a time in search of heads: short records come many at once, long ones are passed over."""


class LogRecord(NamedTuple):
    """A piece of output, as it was read from the pipe: at most 64 KiB, cut anywhere.

    Attributes:
        timestamp_ns: Nanoseconds since the epoch; strictly increasing within a log, so it tells records
            apart.
        stream: STDOUT, STDERR or NOTICE. A terminal's output is all STDOUT.
        data: The bytes.
    """

    timestamp_ns: int
    stream: int
    data: bytes


class RecordHead(NamedTuple):
    """A record without its bytes.

    Attributes:
        timestamp_ns: As in `LogRecord`.
        stream: As in `LogRecord`.
        offset: Where the record begins in the log.
        length: How many bytes of output it holds.
    """

    timestamp_ns: int
    stream: int
    offset: int
    length: int


def read_heads(log: Path, offset: int, most: int, end: int | None = None) -> tuple[list[RecordHead], int]:
    """The heads of the next whole records before `end`, at most so many, passing over what they hold.

    Returns:
        The heads, and the offset after the last of those records. A log that does not exist yet is empty.
    """
    try:
        descriptor = os.open(log, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return [], offset
    try:
        size = os.fstat(descriptor).st_size if end is None else end
        heads: list[RecordHead] = []
        held, start = b"", offset  # a piece of the file, and where it begins
        while len(heads) < most and offset + RECORD.size <= size:
            if offset + RECORD.size > start + len(held):
                held, start = os.pread(descriptor, _HEADS_READ, offset), offset
            timestamp_ns, stream, length = RECORD.unpack_from(held, offset - start)
            if offset + RECORD.size + length > size:
                break
            heads.append(RecordHead(timestamp_ns, stream, offset, length))
            offset += RECORD.size + length
    finally:
        os.close(descriptor)
    return heads, offset


def read_end(log: Path, head: RecordHead, length: int) -> bytes:
    """The last bytes of a record, at most so many."""
    length = min(length, head.length)
    with log.open("rb", buffering=0) as file:
        return os.pread(file.fileno(), length, head.offset + RECORD.size + head.length - length)


def read_records(log: Path, offset: int, limit: int) -> tuple[list[LogRecord], int]:
    """Read whole records from `offset` on: about `limit` bytes of them, and at least one where there is one.

    Returns:
        The records, and the offset after the last of them. A log that does not exist yet is empty.
    """
    try:
        descriptor = os.open(log, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return [], offset
    try:
        return _parse(_read_some(descriptor, offset, limit), offset)
    finally:
        os.close(descriptor)


def _read_some(descriptor: int, offset: int, limit: int) -> bytes:
    chunk = os.pread(descriptor, max(limit, RECORD.size), offset)
    if len(chunk) < RECORD.size:
        return chunk
    first = RECORD.size + RECORD.unpack_from(chunk)[2]
    return chunk if first <= len(chunk) else os.pread(descriptor, first, offset)


def _parse(chunk: bytes, offset: int) -> tuple[list[LogRecord], int]:
    records: list[LogRecord] = []
    position = 0
    while position + RECORD.size <= len(chunk):
        timestamp_ns, stream, length = RECORD.unpack_from(chunk, position)
        end = position + RECORD.size + length
        if end > len(chunk):
            break
        records.append(LogRecord(timestamp_ns, stream, chunk[position + RECORD.size : end]))
        position = end
    return records, offset + position
