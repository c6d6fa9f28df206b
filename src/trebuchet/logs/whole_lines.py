"""Whole lines out of pieces that are cut anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trebuchet.logs.pieces import Piece
from trebuchet.status import LogEntry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from trebuchet.logs.place import Place

_LONGEST_LINE = 32 << 20
"""Characters that are held for the sake of a line's end; a longer line comes in several parts."""


def whole_lines(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """A piece a line, each with its newline; what stands open at the end comes without one."""
    lines = Lines()
    yield from lines.of(pieces)
    yield from lines.left_open()


class Lines:
    """Puts pieces together to lines.

    A line has the time of its beginning. The streams of a job do not cut into each other's lines, and no
    attempt goes on in the last line of the one before. A line's place has nothing behind it that was given,
    and nothing before it that was not: it may lie within a piece.
    """

    def __init__(self) -> None:
        self._attempts: dict[str, _Attempt] = {}

    def of(self, pieces: Iterable[Piece]) -> Iterator[Piece]:
        """The lines that end in these pieces; those that begin in them may end in later ones."""
        for piece in pieces:
            attempt = self._attempts.get(piece.key)
            if attempt is None or attempt.number != piece.place.attempt:
                if attempt is not None:  # Nothing follows what it left open.
                    yield from attempt.left_open("\n")
                attempt = self._attempts[piece.key] = _Attempt(piece)
            yield from attempt.lines_of(piece)

    def left_open(self) -> Iterator[Piece]:
        """What has no end at the end of all pieces."""
        for attempt in self._attempts.values():
            yield from attempt.left_open() if attempt.ended else attempt.cut()


class _Attempt:
    """The lines of one attempt.

    Args:
        first: Its first piece.

    Attributes:
        number: Which it is.
        ended: Whether it is read to its end.
    """

    def __init__(self, first: Piece) -> None:
        self.number = first.place.attempt
        self.ended = first.ended
        self._place = first.before
        self._end = first.before
        self._taken: dict[str, int] = {}
        self._open: dict[str, _OpenLine] = {}  # by source, the oldest first

    def lines_of(self, piece: Piece) -> Iterator[Piece]:
        self.ended, self._end = piece.ended, piece.place
        source, message = piece.entry.source, piece.entry.message
        taken_before = dict(self._taken)
        before = taken_before.get(source, 0)
        start = 0
        while (end := message.find("\n", start) + 1) > 0:
            text, self._taken[source] = message[start:end], before + end
            whole = end == len(message)
            place = piece.place if whole else piece.before.further({source: end})
            if (line := self._open.pop(source, None)) is None:
                yield self._given(piece, text, place)
            else:
                yield self._given(line.piece, line.text + text, place)
            start = end
        if start < len(message):
            line = self._open.setdefault(source, _OpenLine(piece, taken_before))
            line.add(message[start:])
            self._taken[source] = before + len(message)
            if line.size > _LONGEST_LINE:
                del self._open[source]
                yield self._given(line.piece, line.text, piece.place)
        if not self._open:
            self._place = piece.place

    def left_open(self, end: str = "") -> Iterator[Piece]:
        """What stands open, for good."""
        while self._open:
            line = self._open.pop(next(iter(self._open)))
            yield self._given(line.piece, line.text + end, self._end)

    def cut(self) -> Iterator[Piece]:
        """What stands open for now: whoever goes on gets it again, whole."""
        for line in self._open.values():
            yield _line(line.piece, line.text, self._place, self._place)

    def _given(self, first: Piece, text: str, place: Place) -> Piece:
        """A line that is given.

        Args:
            first: The piece in which it begins.
            text: All of it.
            place: The one after it, where no line stands open; else it is where the oldest of these begins.
        """
        before, self._place = self._place, place
        if self._open:
            oldest = next(iter(self._open.values()))
            self._place = oldest.piece.before.further(self._given_since(oldest))
        return _line(first, text, self._place, before)

    def _given_since(self, oldest: _OpenLine) -> dict[str, int]:
        """By source, what was given of the piece that a line begins in, and of all after it."""
        given = dict[str, int]()
        for source, taken in self._taken.items():
            open_line = self._open.get(source)
            size = 0 if open_line is None else open_line.size
            if count := taken - size - oldest.taken_before.get(source, 0):
                given[source] = count
        return given


class _OpenLine:
    """A line whose end has not come yet.

    Args:
        piece: In which it begins.
        taken_before: By source, how many characters came before that piece.
    """

    def __init__(self, piece: Piece, taken_before: dict[str, int]) -> None:
        self.piece = piece
        self.taken_before = taken_before
        self.size = 0
        self._parts: list[str] = []

    def add(self, text: str) -> None:
        self._parts.append(text)
        self.size += len(text)

    @property
    def text(self) -> str:
        return "".join(self._parts)


def _line(first: Piece, text: str, place: Place, before: Place) -> Piece:
    entry = LogEntry(first.entry.timestamp, first.entry.source, text)
    return Piece(first.key, entry, place, before, first.ended)
