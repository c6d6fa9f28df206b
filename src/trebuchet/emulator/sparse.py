"""Files with holes: what need not be sent, because whoever asks fills up with zeros."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import BinaryIO

_CHUNK = 1 << 18


def end_of_content(file: BinaryIO, start: int, end: int) -> int:
    """Where the zeros begin that end a stretch of a file; its end, where none do. Holes are not read."""
    last = start
    at = _data(file.fileno(), start)
    while at is not None and at < end:
        chunk = os.pread(file.fileno(), min(_CHUNK, end - at), at)
        if not chunk:
            break  # It has become shorter.
        if content := len(chunk.rstrip(b"\0")):
            last = at + content
        at = _data(file.fileno(), at + len(chunk))
    return last


def _data(descriptor: int, at: int) -> int | None:
    """Where the next data is from a place on; None where none follows."""
    try:
        return os.lseek(descriptor, at, os.SEEK_DATA)
    except OSError:  # Past the end, or only a hole is left.
        return None
