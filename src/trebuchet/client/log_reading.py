"""A job's output, being read: an iterator that knows where it stands."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trebuchet.errors import UsageError
from trebuchet.logs import place
from trebuchet.logs.lines import last_lines, matching, whole_lines
from trebuchet.logs.merge import as_they_come, by_time
from trebuchet.logs.pieces import read_attempt, read_job, read_job_tail
from trebuchet.logs.place import Place

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


class LogReading:
    """The entries of a log, oldest first. Iterate over it; close it where it is not read to its end.

    `async for` works too: a thread waits for each entry, and waiting that is cancelled loses none.

    Args:
        pieces: What to read.
        places: Where each job's reader stands before the first piece, by job key.

    Raises:
        ClusterUnreachableError: While reading, if the connection broke and stayed away: that is not the end.
    """

    def __init__(self, pieces: Iterator[Piece], places: dict[str, Place]) -> None:
        self._pieces = pieces
        self._places = dict(places)
        self._awaited: Awaiting[Piece] | None = None

    @property
    def cursor(self) -> str:
        """Where it stands, as text: `logs(..., cursor=text)` goes on from there, in any process."""
        return place.encode(self._places)

    def pieces(self) -> Iterator[Piece]:
        """The entries with the jobs they belong to."""
        for piece in self._pieces:
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
        tail: Only the last so many lines of each.
    """
    logs = [_in_lines(reading, grep, tail) if lines else reading.pieces() for reading in readings]
    places = {key: place for reading in readings for key, place in reading.places.items()}
    if len(logs) == 1:
        return LogReading(iter(logs[0]), places)
    return LogReading(as_they_come(logs) if follow else by_time(logs), places)


def _in_lines(reading: LogReading, grep: re.Pattern[str] | None, tail: int | None) -> Iterator[Piece]:
    lines = whole_lines(reading.pieces())
    if grep is not None:
        lines = matching(lines, grep)
    return lines if tail is None else last_lines(lines, tail)


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
        pieces = self._from(chain, start) if self.tail is None else self._from_tail(chain, self.tail)
        if self.since is not None:
            pieces = _not_before(pieces, self.since)
        if self.source is not None:
            pieces = (piece for piece in pieces if piece.entry.source == self.source)
            if self.tail is not None and not self.follow:
                pieces = last_lines(pieces, self.tail)
        return LogReading(pieces, {} if start is None else {self.key: start})

    def _from(self, chain: LogChain, start: Place | None) -> Iterator[Piece]:
        if self.attempt is None:
            return read_job(self.key, chain.after, start=start, follow=self.follow, since=self.since)
        return self._one_attempt(chain, self.attempt, start)

    def _one_attempt(self, chain: LogChain, attempt: int, start: Place | None) -> Iterator[Piece]:
        log = chain.after(attempt - 1)
        if log is not None and log.number == attempt:
            begin = start if start is not None and start.attempt == attempt else Place(attempt)
            yield from read_attempt(self.key, log, begin, follow=self.follow, since=self.since)

    def _from_tail(self, chain: LogChain, lines: int) -> Iterator[Piece]:
        logs = [log for log in self._logs(chain) if self.attempt in {None, log.number}]
        start = Place(logs[-1].number) if logs else None
        # Of one stream alone there may be few lines near the end.
        tail = read_job_tail(self.key, logs, lines) if self.source is None else self._all(logs)
        for piece in tail:
            start = piece.place
            yield piece
        if self.follow:
            yield from self._from(chain, start)

    def _logs(self, chain: LogChain) -> list[AttemptLog]:
        found: list[AttemptLog] = []
        while (log := chain.known_after(found[-1].number if found else 0)) is not None:
            found.append(log)
        return found

    def _all(self, logs: list[AttemptLog]) -> Iterator[Piece]:
        for log in logs:
            yield from read_attempt(self.key, log, Place(log.number), follow=False)


def _not_before(pieces: Iterator[Piece], since: datetime) -> Iterator[Piece]:
    return (piece for piece in pieces if piece.entry.timestamp >= since)
