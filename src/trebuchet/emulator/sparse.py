"""Files with holes: what need be neither sent nor copied, because whoever takes them fills up with zeros."""

from __future__ import annotations

import os

_CHUNK = 1 << 18
_AT_ONCE = 1 << 30


def end_of_content(file: int, start: int, end: int) -> int:
    """Where the zeros begin that end a stretch of an open file; its end, where none do. Holes are skipped."""
    last = start
    at = _data(file, start)
    while at is not None and at < end:
        chunk = os.pread(file, min(_CHUNK, end - at), at)
        if not chunk:
            break  # It has become shorter.
        if content := len(chunk.rstrip(b"\0")):
            last = at + content
        at = _data(file, at + len(chunk))
    return last


def copy_content(source: int, target: int, offset: int = 0) -> None:
    """Copy an open file's bytes to a place in another, sharing them where the file system can.

    Holes stay holes: a file of a terabyte that holds nothing takes nothing. The target's size is left to the
    caller.
    """
    at = _data(source, 0)
    while at is not None:
        end = os.lseek(source, at, os.SEEK_HOLE)
        while at < end:
            copied = _copy_some(source, at, target, offset + at, end - at)
            if copied == 0:
                return  # It has become shorter.
            at += copied
        at = _data(source, at)


def _copy_some(source: int, at: int, target: int, to: int, most: int) -> int:
    if hasattr(os, "copy_file_range"):
        try:
            return os.copy_file_range(source, target, min(most, _AT_ONCE), at, to)
        except OSError:
            pass  # across file systems, or one that cannot: plain reads and writes below do it
    return os.pwrite(target, os.pread(source, min(most, _CHUNK), at), to)


def _data(file: int, at: int) -> int | None:
    """Where the next data is from a place on; None where none follows."""
    try:
        return os.lseek(file, at, os.SEEK_DATA)
    except OSError:  # Past the end, or only a hole is left.
        return None
