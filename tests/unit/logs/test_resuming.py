"""However a log is cut, broken off and taken up again, it reads as if it never was."""

from __future__ import annotations

import base64
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.logs import KEY, START, LogKeeper, logs, shown
from trebuchet.errors import ClusterUnreachableError, UsageError
from trebuchet.logs import place
from trebuchet.logs.archive import Archive, DamagedArchiveError
from trebuchet.logs.attempt import AttemptLog
from trebuchet.logs.pieces import read_job
from trebuchet.logs.place import Place
from trebuchet.status import LogEntry, LogPosition

if TYPE_CHECKING:
    from collections.abc import Callable

    from trebuchet.engines.base import Engine


def chain(*attempts: AttemptLog) -> Callable[[int], AttemptLog | None]:
    return lambda number: attempts[number] if number < len(attempts) else None


def attempt_log(
    log: list[LogEntry], folder: Path, number: int = 1, breaks: list[int] | None = None
) -> AttemptLog:
    engine = cast("Engine", LogKeeper(log, breaks or []))
    return AttemptLog(number=number, engine=engine, sandbox_id="sb-x", archive=Archive(folder / f"{number}"))


@settings(deadline=None)
@given(log=logs(), breaks=st.lists(st.integers(0, 4), max_size=4), until=st.integers(0, 20))
def test_an_archive_that_is_written_in_turns_is_the_whole_log(
    log: list[LogEntry], breaks: list[int], until: int
) -> None:
    with tempfile.TemporaryDirectory() as name:
        running = attempt_log(log, Path(name), breaks=breaks)
        limit = START + timedelta(microseconds=until)
        ended = replace(running, ended=True)
        done = False
        for turn in (running, *[ended] * (len(breaks) + 1)):
            try:
                done = turn.keep(until=limit)
            except ClusterUnreachableError:
                continue
            if turn is running and not breaks:
                assert not done
                assert [one for one in log if one.timestamp < limit] == list(running.archive.read())
        assert done
        assert list(running.archive.read()) == log
        assert running.archive.survey().complete
        assert ended.keep(until=limit)


@settings(deadline=None)
@given(first=logs(), second=logs(), stops=st.lists(st.integers(0, 6), max_size=6))
def test_readers_that_stop_and_hand_their_cursor_on_add_up(
    first: list[LogEntry], second: list[LogEntry], stops: list[int]
) -> None:
    with tempfile.TemporaryDirectory() as name:
        attempts = chain(attempt_log(first, Path(name), 1), attempt_log(second, Path(name), 2))
        read: list[LogEntry] = []
        cursor: str | None = None
        for stop in [*stops, None]:
            start = place.decode(cursor)[KEY] if cursor else None
            for count, piece in enumerate(read_job(KEY, attempts, start=start, follow=True)):
                if count == stop:
                    break
                read.append(piece.entry)
                cursor = place.encode({KEY: piece.place})
        for source in ("stdout", "stderr"):
            text = "".join(one.message for one in read if one.source == source)
            assert text == shown(first, source) + shown(second, source)


@settings(deadline=None)
@given(
    log=logs(), breaks=st.lists(st.integers(0, 5), max_size=5), torn=st.lists(st.integers(0, 200), max_size=5)
)
def test_followers_that_break_off_or_are_killed_leave_a_whole_archive(
    log: list[LogEntry], breaks: list[int], torn: list[int]
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cuts = list(torn)
        for number in range(len(breaks)):
            follower = attempt_log(log, folder, breaks=[breaks[number]])
            try:
                list(follower.read(follow=True))
            except ClusterUnreachableError:
                _tear(folder / "1", cuts.pop() if cuts else 0)
        whole = [raw.entry for raw in attempt_log(log, folder).read(follow=True)]
        assert whole == log
        archive = Archive(folder / "1")
        assert archive.survey().complete
        assert list(archive.read()) == log
        assert [entry for block in reversed(list(archive.read_end())) for entry in block] == log


def _tear(path: Path, lost: int) -> None:
    """As a writer leaves its file that is killed while it writes."""
    if path.exists():
        with path.open("r+b") as file:
            file.truncate(max(0, path.stat().st_size - lost))


@given(log=logs(), index=st.integers(0, 30))
def test_an_archive_is_read_from_any_place_on(log: list[LogEntry], index: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        follower = attempt_log(log, Path(name))
        raws = list(follower.read(follow=True))
        if raws:
            index %= len(raws)
            rest = list(follower.read(follow=True, after=raws[index].position))
            assert [raw.entry for raw in rest] == log[index + 1 :]
            assert [raw.position for raw in rest] == [raw.position for raw in raws[index + 1 :]]


def test_a_damaged_last_block_is_read_again(tmp_path: Path) -> None:
    log = [LogEntry(LogPosition(START, 1).timestamp, "stdout", "x" * 2000)]
    broken = attempt_log([*log, *log], tmp_path, breaks=[1])
    with pytest.raises(ClusterUnreachableError):
        list(broken.read(follow=True))
    data = bytearray((tmp_path / "1").read_bytes())
    data[-1] ^= 0xFF
    (tmp_path / "1").write_bytes(data)
    assert [raw.entry for raw in attempt_log([*log, *log], tmp_path).read(follow=True)] == [*log, *log]


def _damaged_in_the_middle(folder: Path) -> tuple[list[LogEntry], Archive]:
    """A complete archive of three entries, a block each, of which the second cannot be read."""
    log = [LogEntry(START + timedelta(seconds=number), "stdout", f"{number}\n") for number in range(3)]
    archive = Archive(folder / "1")
    writer = archive.writer()
    assert writer is not None
    sizes = list[int]()
    for entry in log:
        sizes.append(archive.path.stat().st_size)
        writer.append(entry)
        writer.flush()
    writer.complete()
    data = bytearray(archive.path.read_bytes())
    data[sizes[2] - 1] ^= 0xFF
    archive.path.write_bytes(data)
    return log, archive


def test_what_a_damaged_block_held_comes_from_the_control_plane(tmp_path: Path) -> None:
    log, archive = _damaged_in_the_middle(tmp_path)
    told = list[str]()
    reader = replace(attempt_log(log, tmp_path), tell=told.append)
    raws = list(reader.read(follow=True))
    assert [raw.entry for raw in raws] == log
    assert [raw.position for raw in raws] == [LogPosition(entry.timestamp, 1) for entry in log]
    assert len(told) == 1
    assert f"{archive.path} is damaged" in told[0]
    assert [raw.entry for raw in reader.read_tail(2)] == log


def test_a_damaged_archive_gives_what_it_has_where_the_control_plane_has_nothing(tmp_path: Path) -> None:
    log, archive = _damaged_in_the_middle(tmp_path)
    told = list[str]()
    for reader in (attempt_log([], tmp_path), replace(attempt_log([], tmp_path), sandbox_id=None)):
        raws = list(replace(reader, tell=told.append).read(follow=False))
        assert [raw.entry for raw in raws] == [log[0], log[2]]
    assert len(told) == 2
    with pytest.raises(DamagedArchiveError, match=f"{archive.path} is damaged") as caught:
        list(archive.read())
    assert caught.value.until == LogPosition(log[1].timestamp, 1)


def test_two_followers_at_once_leave_one_archive(tmp_path: Path) -> None:
    log = [LogEntry(START, "stdout", str(number)) for number in range(10)]
    one, two = (attempt_log(log, tmp_path).read(follow=True) for _ in range(2))
    pairs = list(zip(one, two, strict=True))
    assert all(first.entry == second.entry for first, second in pairs)
    assert list(one) == list(two) == []
    assert list(Archive(tmp_path / "1").read()) == log


def test_a_dropped_connection_is_told_and_does_not_complete_the_archive(tmp_path: Path) -> None:
    log = [LogEntry(START, "stdout", str(number)) for number in range(3)]
    with pytest.raises(ClusterUnreachableError):
        list(attempt_log(log, tmp_path, breaks=[2]).read(follow=True))
    position, complete = Archive(tmp_path / "1").survey()
    assert (position, complete) == (LogPosition(START, 2), False)


@given(
    st.dictionaries(
        st.text(max_size=12),
        st.builds(
            Place,
            st.integers(1, 99),
            st.none()
            | st.builds(
                LogPosition,
                st.datetimes(
                    min_value=datetime(1971, 1, 1),  # noqa: DTZ001 - the strategy wants it so
                    timezones=st.just(UTC),
                ),
                st.integers(1),
            ),
            st.dictionaries(st.sampled_from(["stdout", "stderr"]), st.text(max_size=9)),
            st.dictionaries(st.sampled_from(["stdout", "stderr"]), st.integers(1)),
        ),
        max_size=3,
    )
)
def test_a_cursor_is_one_word_and_says_what_it_was_told(places: dict[str, Place]) -> None:
    text = place.encode(places)
    assert text.isascii()
    assert text.split() == [text]
    assert place.decode(text) == places


@given(st.text(max_size=40).filter(lambda text: text != "1e30"))
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no cursor"):
        place.decode(text)


def test_a_cursor_of_other_jobs_or_of_an_attempt_that_is_not_there_is_refused() -> None:
    cursor = place.encode({KEY: Place(2), "other": Place(1)})
    place.require_of(cursor, {KEY: 2})
    place.require_of(cursor, {KEY: 3, "a third": 1})
    place.require_of(place.encode({}), {KEY: 1})
    with pytest.raises(UsageError, match="another log"):
        place.require_of(cursor, {"a third": 1})
    with pytest.raises(UsageError, match="attempt 2"):
        place.require_of(cursor, {KEY: 1})
    with pytest.raises(UsageError, match="attempt 0"):
        place.require_of(place.encode({KEY: Place(0)}), {KEY: 1})


def test_a_cursor_that_is_nested_without_end_is_none() -> None:
    with pytest.raises(UsageError, match="no cursor"):
        place.decode("1" + base64.urlsafe_b64encode(b"[" * 90_000).decode().rstrip("="))
