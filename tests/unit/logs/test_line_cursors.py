"""Whoever goes on from a line's cursor gets every line that was not given, and none that was."""

from __future__ import annotations

import re
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.logs import KEY, START, LogKeeper, logs, shown
from trebuchet.client.log_reading import LogReading, joined
from trebuchet.logs import place
from trebuchet.logs.archive import Archive
from trebuchet.logs.attempt import AttemptLog
from trebuchet.logs.pieces import read_job, read_job_tail
from trebuchet.logs.place import Place
from trebuchet.status import LogEntry

if TYPE_CHECKING:
    from datetime import datetime

    from trebuchet.engines.base import Engine
    from trebuchet.logs.pieces import Piece


def attempt_of(log: list[LogEntry], folder: Path, number: int = 1, *, ended: bool = True) -> AttemptLog:
    engine = cast("Engine", LogKeeper(log))
    archive = Archive(folder / f"{number}")
    return AttemptLog(number=number, engine=engine, sandbox_id="sb-x", archive=archive, ended=ended)


def said(*texts: str, source: str = "stdout", start: int = 0) -> list[LogEntry]:
    return [
        LogEntry(START + timedelta(seconds=start + index), source, text)  # pyright: ignore
        for index, text in enumerate(texts)
    ]


def read(
    attempts: list[AttemptLog],
    cursor: str | None = None,
    *,
    keys: tuple[str, ...] = (KEY,),
    follow: bool = False,
    grep: re.Pattern[str] | None = None,
    since: datetime | None = None,
) -> LogReading:
    """The jobs' logs in lines; all of them have the same attempts."""
    starts = place.decode(cursor) if cursor else {}

    def reading(key: str) -> LogReading:
        def after(number: int) -> AttemptLog | None:
            return attempts[number] if number < len(attempts) else None

        pieces = read_job(key, after, start=starts.get(key), follow=follow, since=since)
        return LogReading(pieces, {key: starts[key]} if key in starts else {})

    return joined([reading(key) for key in keys], follow=follow, lines=True, grep=grep)


def texts(pieces: list[Piece], key: str, source: str) -> list[str]:
    return [one.entry.message for one in pieces if (one.key, one.entry.source) == (key, source)]


@settings(deadline=None)
@given(first=logs(), second=logs(), stops=st.lists(st.integers(0, 5), max_size=6), grep=st.booleans())
@pytest.mark.parametrize("keys", [(KEY,), (KEY, "other")])
@pytest.mark.parametrize("follow", [False, True])
def test_readers_of_lines_that_stop_anywhere_give_each_line_once(
    first: list[LogEntry],
    second: list[LogEntry],
    stops: list[int],
    grep: bool,
    keys: tuple[str, ...],
    follow: bool,
) -> None:
    pattern = re.compile("[a5é]") if grep else None
    with tempfile.TemporaryDirectory() as name:
        attempts = [attempt_of(first, Path(name), 1), attempt_of(second, Path(name), 2)]
        given_lines: list[Piece] = []
        cursor: str | None = None
        for stop in [*stops, None]:
            reading = read(attempts, cursor, keys=keys, follow=follow, grep=pattern)
            pieces = reading.pieces()
            for _ in range(10_000 if stop is None else stop):
                if (piece := next(pieces, None)) is None:
                    break
                given_lines.append(piece)
            cursor = reading.cursor
        whole = list(read(attempts, keys=keys, follow=follow, grep=pattern).pieces())
        for key in keys:
            for source in ("stdout", "stderr"):
                assert texts(given_lines, key, source) == texts(whole, key, source)
                if not grep and key == KEY:
                    told = "".join(texts(whole, key, source)).replace("\n", "")
                    assert told == (shown(first, source) + shown(second, source)).replace("\n", "")


@settings(deadline=None)
@given(log=logs(), lengths=st.lists(st.integers(0, 12), max_size=5))
def test_a_log_that_grows_between_readings_gives_each_line_whole(
    log: list[LogEntry], lengths: list[int]
) -> None:
    with tempfile.TemporaryDirectory() as name:
        given_lines: list[Piece] = []
        cursor: str | None = None
        for length in sorted(min(length, len(log)) for length in lengths):
            reading = read([attempt_of(log[:length], Path(name), ended=False)], cursor)
            given_lines += (line for line in reading.pieces() if line.entry.message.endswith("\n"))
            cursor = reading.cursor
        given_lines += read([attempt_of(log, Path(name))], cursor).pieces()
        for source in ("stdout", "stderr"):
            expected = re.findall(r"[^\n]*\n|[^\n]+", shown(log, source))
            assert texts(given_lines, KEY, source) == expected


def test_a_reader_that_stops_within_a_piece_goes_on_there(tmp_path: Path) -> None:
    log = [attempt_of(said("one\ntwo\nthr", "ee\nfour\n"), tmp_path)]
    whole = ["one\n", "two\n", "three\n", "four\n"]
    for count in range(len(whole) + 1):
        reading = read(log)
        first = [next(reading).message for _ in range(count)]
        rest = [entry.message for entry in read(log, reading.cursor)]
        assert (first, rest) == (whole[:count], whole[count:])


def test_a_line_of_one_stream_does_not_pass_over_one_that_another_has_begun(tmp_path: Path) -> None:
    log = [
        *said("progress 1"),
        *said("warning\nerr", source="stderr", start=1),
        *said(" of 2\n", start=2),
        *said("or\n", source="stderr", start=3),
    ]
    attempts = [attempt_of(log, tmp_path)]
    reading = read(attempts)
    assert next(reading).message == "warning\n"
    assert [one.message for one in read(attempts, reading.cursor)] == ["progress 1 of 2\n", "error\n"]
    assert next(reading).message == "progress 1 of 2\n"
    assert [one.message for one in read(attempts, reading.cursor)] == ["error\n"]


def test_the_last_line_of_a_job_that_has_ended_is_not_given_again_and_again(tmp_path: Path) -> None:
    running, ended = (attempt_of(said("a\nb"), tmp_path, ended=ended) for ended in (False, True))
    reading = read([running])
    assert [one.message for one in reading] == ["a\n", "b"]
    reading = read([ended], reading.cursor)
    assert [one.message for one in reading] == ["b"]
    assert [one.message for one in read([ended], reading.cursor)] == []


def test_what_was_given_of_a_piece_is_not_counted_against_newer_ones(tmp_path: Path) -> None:
    log = [attempt_of(said("old\nopen", " end\nnew\n"), tmp_path)]
    reading = read(log)
    assert next(reading).message == "old\n"
    later = read(log, reading.cursor, since=START + timedelta(seconds=1))
    assert [one.message for one in later] == [" end\n", "new\n"]


def test_a_reader_of_the_last_lines_goes_on_after_them(tmp_path: Path) -> None:
    log = said(*(f"{number} a\n{number} b\n" for number in range(400)))
    attempt = attempt_of(log, tmp_path)
    tail = LogReading(iter(read_job_tail(KEY, [attempt], 3)), {KEY: Place(1)})
    reading = joined([tail], follow=False, lines=True)
    shown_first = next(reading).message
    assert shown_first == "398 b\n"
    assert [one.message for one in read([attempt], reading.cursor)] == ["399 a\n", "399 b\n"]
