"""A job's log as people see it: all its attempts one after the other, without the wrapper's own lines."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from trebuchet.logs.lines import last_lines
from trebuchet.logs.place import Place
from trebuchet.plan.markers import MarkerFilter, nonce_for
from trebuchet.status import LogEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime

    from trebuchet.logs.attempt import AttemptLog, Raw

_MARKED = "stderr"
"""The stream that the wrapper writes its lines to."""


class Piece(NamedTuple):
    """A piece of a job's output.

    Attributes:
        key: The job's.
        entry: The output.
        place: Where a reader goes on that has got this far.
    """

    key: str
    entry: LogEntry
    place: Place


def read_job(
    key: str,
    next_attempt: Callable[[int], AttemptLog | None],
    *,
    start: Place | None = None,
    follow: bool = False,
    since: datetime | None = None,
) -> Iterator[Piece]:
    """A job's output, oldest first.

    Args:
        key: The job's.
        next_attempt: Gives the log of the attempt after the one of a number, or None where none follows; with
            `follow` it waits until one of them is known.
        start: Where an earlier reader stopped; None for the beginning.
        follow: Go on until the job has ended and all of it was given.
        since: Only what was received from then on.
    """
    number = 0 if start is None else start.attempt - 1
    while (log := next_attempt(number)) is not None:
        begin = start if start is not None and start.attempt == log.number else Place(log.number)
        yield from read_attempt(key, log, begin, follow=follow, since=since)
        number = log.number


def read_attempt(
    key: str, log: AttemptLog, start: Place, *, follow: bool, since: datetime | None = None
) -> Iterator[Piece]:
    """One attempt's output from a place on."""
    raw = log.read(follow=follow, after=start.position, since=since)
    ended = follow or log.ended
    for piece in without_markers(raw, key, start, ended=ended):
        if since is None or piece.entry.timestamp >= since:
            yield piece


def read_job_tail(key: str, logs: Sequence[AttemptLog], lines: int) -> list[Piece]:
    """The last lines of a job's output so far, of its last attempts as many as hold them.

    Args:
        key: The job's.
        logs: Of its attempts, the newest last.
        lines: How many.
    """
    found: list[Piece] = []
    for log in reversed(logs):
        start = Place(log.number)
        found[:0] = without_markers(log.read_tail(lines), key, start, ended=log.ended)
        if sum(piece.entry.message.count("\n") for piece in found) > lines:
            break
    return list(last_lines(found, lines))


def without_markers(raw: Iterable[Raw], key: str, start: Place, *, ended: bool) -> Iterator[Piece]:
    """Entries less the marker lines; one that held nothing else is left out.

    Args:
        raw: In order, from `start` on.
        key: The job's.
        start: With what an earlier reader held back.
        ended: Whether nothing follows them: then what looks like the beginning of a marker is none.
    """
    markers = MarkerFilter(nonce_for(key), start.held.get(_MARKED, ""))
    position = start.position
    for one in raw:
        entry, position = one
        if entry.source == _MARKED:
            shown = markers.feed(entry.message)
            if not shown:
                continue
            entry = entry if shown == entry.message else replace(entry, message=shown)
        held = {_MARKED: markers.held} if markers.held else {}
        yield Piece(key, entry, Place(start.attempt, position, held))
    if ended and position is not None and (rest := markers.flush()):
        yield Piece(key, LogEntry(position.timestamp, _MARKED, rest), Place(start.attempt, position))
