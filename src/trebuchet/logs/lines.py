"""Whole lines out of pieces that are cut anywhere, and what can be done with lines."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable, Iterator

    from trebuchet.logs.pieces import Piece

_LONGEST_LINE = 32 << 20
"""Characters that are held for the sake of a line's end; a longer line comes in several parts."""


def whole_lines(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """A piece a line, each with its newline; what stands open at the end comes without one.

    A line has the time of its beginning. The streams of a job do not cut into each other's lines, and no
    attempt goes on in the last line of the one before.
    """
    open_lines: dict[tuple[str, int, str], _OpenLine] = {}
    last: Piece | None = None
    for piece in pieces:
        if last is not None and (piece.key, piece.place.attempt) != (last.key, last.place.attempt):
            yield from _of_earlier_attempts(open_lines, piece, last)
        last = piece
        name = (piece.key, piece.place.attempt, piece.entry.source)
        line = open_lines.get(name) or _OpenLine(piece)
        start = 0
        message = piece.entry.message
        while (end := message.find("\n", start) + 1) > 0:
            line.add(message[start:end])
            yield line.taken(piece)
            line = _OpenLine(piece)
            start = end
        line.add(message[start:])
        if line.size > _LONGEST_LINE:
            yield line.taken(piece)
            line = _OpenLine(piece)
        if line.size:
            open_lines[name] = line
        else:
            open_lines.pop(name, None)
    if last is not None:
        for line in open_lines.values():
            yield line.taken(line.piece)


def _of_earlier_attempts(
    open_lines: dict[tuple[str, int, str], _OpenLine], piece: Piece, before: Piece
) -> Iterator[Piece]:
    """What a job's earlier attempts left open, taken out and ended: nothing follows it any more."""
    for name in [name for name in open_lines if name[0] == piece.key and name[1] != piece.place.attempt]:
        line = open_lines.pop(name)
        line.add("\n")
        yield line.taken(before if before.key == piece.key else line.piece)


class _OpenLine:
    """A line whose end has not come yet."""

    def __init__(self, piece: Piece) -> None:
        self.piece = piece
        self.size = 0
        self._parts: list[str] = []

    def add(self, text: str) -> None:
        if text:
            self._parts.append(text)
            self.size += len(text)

    def taken(self, piece: Piece) -> Piece:
        return piece._replace(entry=replace(self.piece.entry, message="".join(self._parts)))


def matching(lines: Iterable[Piece], pattern: re.Pattern[str]) -> Iterator[Piece]:
    """The lines in which a pattern is found."""
    return (line for line in lines if pattern.search(line.entry.message.removesuffix("\n")))


def last_lines(pieces: Iterable[Piece], count: int) -> Iterator[Piece]:
    """The pieces of output that make up the last lines, the first of them cut to fit.

    A piece may end anywhere, so lines are counted by their ends; one that stands open at the end counts too.
    """
    kept: deque[Piece] = deque()
    ends = 0
    for piece in pieces:
        if not piece.entry.message:
            continue
        kept.append(piece)
        ends += piece.entry.message.count("\n")
        while kept and ends - (first := kept[0].entry.message.count("\n")) > count:
            kept.popleft()
            ends -= first
    surplus = ends - count + (0 if not kept or kept[-1].entry.message.endswith("\n") else 1)
    yield from _without_lines(kept, surplus)


def _without_lines(pieces: Iterable[Piece], surplus: int) -> Iterator[Piece]:
    for piece in pieces:
        message = piece.entry.message
        while surplus > 0 and "\n" in message:
            message = message.partition("\n")[2]
            surplus -= 1
        if surplus <= 0 and message:
            yield piece._replace(entry=replace(piece.entry, message=message))
