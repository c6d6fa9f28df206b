"""A job's log as people see it: all its attempts one after the other, without the wrapper's own lines."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from trebuchet.logs.lines import last_lines
from trebuchet.logs.place import Place
from trebuchet.plan.markers import MarkerFilter, nonce_for
from trebuchet.status import LogEntry, LogPosition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
        before: Where one goes on that has all before this, and not this.
        ended: Whether its attempt is read to its end: what stands open then stays so.
    """

    key: str
    entry: LogEntry
    place: Place
    before: Place
    ended: bool


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
    # What was given of it is counted from the place on, whatever its age.
    raw = log.read(follow=follow, after=start.position, since=None if start.given else since)
    ended = follow or log.ended
    pieces = without_markers(raw, key, replace(start, given={}), ended=ended)
    for piece in _not_given(pieces, start.given) if start.given else pieces:
        if since is None or piece.entry.timestamp >= since:
            yield piece


def _not_given(pieces: Iterator[Piece], given: Mapping[str, int]) -> Iterator[Piece]:
    """The pieces less the first so many characters of each source."""
    for piece in pieces:
        entry, before = piece.entry, replace(piece.before, given=given)
        skipped = min(given.get(entry.source, 0), len(entry.message))
        given = {name: left for name, left in _less(given, entry.source, skipped).items() if left}
        if rest := entry.message[skipped:]:
            place = replace(piece.place, given=given)
            yield piece._replace(entry=replace(entry, message=rest), place=place, before=before)
        if not given:
            yield from pieces


def _less(given: Mapping[str, int], source: str, count: int) -> dict[str, int]:
    return {name: left - count if name == source else left for name, left in given.items()}


def read_job_tail(key: str, logs: Sequence[AttemptLog], lines: int) -> list[Piece]:
    """The last lines of a job's output so far, of its last attempts as many as hold them.

    Args:
        key: The job's.
        logs: Of its attempts, the newest last.
        lines: How many.
    """
    found: list[Piece] = []
    for log in reversed(logs):
        raw = log.read_tail(lines)
        start = Place(log.number, LogPosition(raw[0].entry.timestamp, 0) if raw else None)
        found[:0] = without_markers(raw, key, start, ended=log.ended)
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
    position, before = start.position, start
    for one in raw:
        entry, position = one
        if entry.source == _MARKED:
            shown = markers.feed(entry.message)
            if not shown:
                continue
            entry = entry if shown == entry.message else replace(entry, message=shown)
        held = {_MARKED: markers.held} if markers.held else {}
        place = Place(start.attempt, position, held)
        yield Piece(key, entry, place, before, ended)
        before = place
    if ended and position is not None and (rest := markers.flush()):
        entry, place = LogEntry(position.timestamp, _MARKED, rest), Place(start.attempt, position)
        yield Piece(key, entry, place, before, ended)
