"""A job's output, being read: an iterator that knows where it stands."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from trebuchet.errors import UsageError
from trebuchet.logs import place
from trebuchet.logs.lines import last_lines, matching
from trebuchet.logs.merge import as_they_come, by_time
from trebuchet.logs.pieces import read_attempt, read_job, read_job_tail
from trebuchet.logs.place import Place
from trebuchet.logs.whole_lines import Lines, whole_lines

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from typing import Self

    from trebuchet.client.awaiting import Awaiting
    from trebuchet.lifecycle.log_chain import LogChain
    from trebuchet.logs.attempt import AttemptLog
    from trebuchet.logs.pieces import Piece
    from trebuchet.status import LogEntry, LogSource

ALL_LINES = sys.maxsize
"""As `tail`: all lines of what there is, told apart from what comes."""


class LogReading:
    """The entries of a log, oldest first. Iterate over it; close it where it is not read to its end.

    `async for` works too: a thread waits for each entry, and waiting that is cancelled loses none.

    Args:
        pieces: What to read.
        places: Where each job's reader stands before the first piece, by job key.
        past: What there is already of a log that is followed from its end; it comes before `pieces`.

    Raises:
        ClusterUnreachableError: While reading, if the connection broke and stayed away: that is not the end.
    """

    def __init__(
        self, pieces: Iterator[Piece], places: dict[str, Place], *, past: Iterator[Piece] | None = None
    ) -> None:
        self._past = past
        self._pieces = pieces if past is None else _one_after_the_other(past, pieces)
        self._places = dict(places)
        self._awaited: Awaiting[Piece] | None = None

    @property
    def cursor(self) -> str:
        """Where it stands, as text: `logs(..., cursor=text)` goes on from there, in any process."""
        return place.encode(self._places)

    def pieces(self) -> Iterator[Piece]:
        """The entries with the jobs they belong to."""
        return self._noted(self._pieces)

    def past(self) -> Iterator[Piece]:
        """Those that are there already, where that is known; `pieces` then gives the others."""
        return self._noted(self._past or iter(()))

    def _noted(self, pieces: Iterator[Piece]) -> Iterator[Piece]:
        for piece in pieces:
            self._places[piece.key] = piece.place
            yield piece

    @property
    def places(self) -> dict[str, Place]:
        """Where the reader of each job stands."""
        return dict(self._places)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> LogEntry:
        piece = next(self._pieces)
        self._places[piece.key] = piece.place
        return piece.entry

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> LogEntry:
        if self._awaited is None:
            from trebuchet.client.awaiting import Awaiting  # noqa: PLC0415 - asyncio is heavy

            self._awaited = Awaiting(self._pieces)
        piece = await anext(self._awaited)
        self._places[piece.key] = piece.place
        return piece.entry

    def close(self) -> None:
        """Stop reading; the job goes on."""
        close = getattr(self._pieces, "close", None)
        if close is not None:
            with suppress(ValueError):  # A thread waits in it for a task that was cancelled.
                close()


def joined(
    readings: Sequence[LogReading],
    *,
    follow: bool,
    lines: bool,
    grep: re.Pattern[str] | None = None,
    tail: int | None = None,
) -> LogReading:
    """Several logs as one.

    Args:
        readings: Of different jobs.
        follow: Whether they are followed: then they come as they come, else in the order of time.
        lines: Whether to give whole lines.
        grep: Only lines in which this is found.
        tail: Only the last so many lines of each; of one that is followed, those of its past.
    """
    logs = [
        _in_lines(reading, grep, tail, follow=follow) if lines else reading.pieces() for reading in readings
    ]
    places = {key: place for reading in readings for key, place in reading.places.items()}
    if len(logs) == 1:
        return LogReading(iter(logs[0]), places)
    return LogReading(as_they_come(logs) if follow else by_time(logs), places)


def _in_lines(
    reading: LogReading, grep: re.Pattern[str] | None, tail: int | None, *, follow: bool
) -> Iterator[Piece]:
    wanted = iter if grep is None else partial(matching, pattern=grep)
    if tail is None:
        yield from wanted(whole_lines(reading.pieces()))
    elif not follow:
        yield from last_lines(wanted(whole_lines(reading.pieces())), tail)
    else:
        lines = Lines()  # One that is not whole yet belongs to what comes.
        yield from last_lines(wanted(lines.of(reading.past())), tail)
        yield from wanted(lines.of(reading.pieces()))
        yield from wanted(lines.left_open())


def _one_after_the_other(first: Iterator[Piece], second: Iterator[Piece]) -> Iterator[Piece]:
    yield from first
    yield from second


@dataclass(frozen=True)
class LogQuery:
    """Which part of a job's log is wanted. The fields are explained where `Client.logs` takes them.

    Raises:
        UsageError: The cursor is none, or is given together with `tail`.
    """

    key: str
    follow: bool
    since: datetime | None
    tail: int | None
    source: LogSource | None
    attempt: int | None
    cursor: str | None

    def __post_init__(self) -> None:
        if self.tail is not None and self.cursor is not None:
            raise UsageError("A log is read from its end or from a cursor on, not both.")

    def read(self, chain: LogChain) -> LogReading:
        """Read it; nothing is asked before the first entry is taken."""
        start = place.decode(self.cursor).get(self.key) if self.cursor is not None else None
        places = {} if start is None else {self.key: start}
        if self.tail is None:
            return LogReading(self._wanted(self._from(chain, start)), places)
        end = _End()
        past = self._wanted(self._so_far(chain, self.tail, end))
        if self.tail != ALL_LINES:
            past = last_lines(past, self.tail)
        coming = self._wanted(self._from_end(chain, end)) if self.follow else iter(())
        return LogReading(coming, places, past=past)

    def _wanted(self, pieces: Iterator[Piece]) -> Iterator[Piece]:
        for piece in pieces:
            new_enough = self.since is None or piece.entry.timestamp >= self.since
            if new_enough and self.source in {None, piece.entry.source}:
                yield piece

    def _from(self, chain: LogChain, start: Place | None) -> Iterator[Piece]:
        if self.attempt is None:
            return read_job(self.key, chain.after, start=start, follow=self.follow, since=self.since)
        return self._one_attempt(chain, self.attempt, start)

    def _one_attempt(self, chain: LogChain, attempt: int, start: Place | None) -> Iterator[Piece]:
        log = chain.after(attempt - 1)
        if log is not None and log.number == attempt:
            begin = start if start is not None and start.attempt == attempt else Place(attempt)
            yield from read_attempt(self.key, log, begin, follow=self.follow, since=self.since)

    def _so_far(self, chain: LogChain, lines: int, end: _End) -> Iterator[Piece]:
        """What there is, or what of it holds so many lines; `end` then knows where it ends."""
        logs = [log for log in self._logs(chain) if self.attempt in {None, log.number}]
        end.place = Place(logs[-1].number) if logs else None
        # Of one stream alone there may be few lines near the end.
        alone = self.source is not None or lines == ALL_LINES
        for piece in self._all(logs) if alone else read_job_tail(self.key, logs, lines):
            end.place = piece.place
            yield piece

    def _from_end(self, chain: LogChain, end: _End) -> Iterator[Piece]:
        yield from self._from(chain, end.place)

    def _logs(self, chain: LogChain) -> list[AttemptLog]:
        found: list[AttemptLog] = []
        while (log := chain.known_after(found[-1].number if found else 0)) is not None:
            found.append(log)
        return found

    def _all(self, logs: list[AttemptLog]) -> Iterator[Piece]:
        for log in logs:
            yield from read_attempt(self.key, log, Place(log.number), follow=False)


@dataclass
class _End:
    """Where what there is of a log ends, once it was read."""

    place: Place | None = None
