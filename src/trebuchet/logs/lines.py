"""Which lines are wanted: those with something in them, the last so many."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable, Iterator

    from trebuchet.logs.pieces import Piece


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
        message, source = piece.entry.message, piece.entry.source
        while surplus > 0 and "\n" in message:
            message = message.partition("\n")[2]
            surplus -= 1
        if surplus <= 0 and message:
            cut = len(piece.entry.message) - len(message)
            before = piece.before.further({source: cut}) if cut else piece.before
            yield piece._replace(entry=replace(piece.entry, message=message), before=before)
