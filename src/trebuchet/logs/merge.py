"""The logs of several jobs as one."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from trebuchet.logs.ahead import read_ahead

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

    from trebuchet.logs.pieces import Piece

_AHEAD = 32
"""How many pieces of all jobs together may wait: each is 64 KiB at most, which bounds the memory."""


def by_time(logs: Sequence[Iterable[Piece]]) -> Iterator[Piece]:
    """Logs that have their ends, in the order of time; each keeps its own order."""
    return heapq.merge(*logs, key=lambda piece: piece.entry.timestamp)


def as_they_come(logs: Sequence[Iterable[Piece]]) -> Generator[Piece, None, None]:
    """Logs that are followed, each piece as soon as it is there, until all have ended.

    A log that breaks off breaks the whole off, with its error: silence would look like its end. Closed
    before, it lets go of them all.
    """
    return read_ahead(logs, most=_AHEAD, name="log")
