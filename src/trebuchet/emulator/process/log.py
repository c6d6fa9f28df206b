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

__all__ = ["NOTICE", "STDERR", "STDOUT", "LogRecord", "read_records"]


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
