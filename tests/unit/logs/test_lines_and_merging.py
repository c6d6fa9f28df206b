"""Lines are whole, and logs that are merged keep each its own order."""

from __future__ import annotations

import itertools
import re
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trebuchet.cli.background import in_background
from trebuchet.client.log_reading import LogReading
from trebuchet.logs.lines import last_lines, matching
from trebuchet.logs.merge import as_they_come, by_time
from trebuchet.logs.pieces import Piece
from trebuchet.logs.place import Place
from trebuchet.logs.whole_lines import whole_lines
from trebuchet.status import LogEntry

if TYPE_CHECKING:
    from typing import Self

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PIECES = st.lists(st.text(alphabet="ab\n\r", max_size=6), max_size=8)


def pieces_of(
    texts: list[str], key: str = "k", source: str = "stdout", gaps: list[int] | None = None
) -> list[Piece]:
    clock, found = 0, []
    for index, text in enumerate(texts):
        clock += (gaps or [1])[index % len(gaps or [1])]
        entry = LogEntry(NOW + timedelta(seconds=clock), source, text)  # pyright: ignore
        found.append(Piece(key, entry, Place(1), Place(1), ended=True))
    return found


def texts_of(pieces: object, key: str = "k") -> list[str]:
    return [piece.entry.message for piece in pieces if piece.key == key]  # pyright: ignore


@given(PIECES)
def test_lines_are_those_of_the_whole_text(texts: list[str]) -> None:
    assert texts_of(whole_lines(pieces_of(texts))) == re.findall(r"[^\n]*\n|[^\n]+", "".join(texts))


@given(PIECES, PIECES)
def test_streams_do_not_cut_into_each_others_lines(out: list[str], err: list[str]) -> None:
    mixed = sorted(
        [*pieces_of(out), *pieces_of(err, source="stderr")], key=lambda piece: piece.entry.timestamp
    )
    lines = list(whole_lines(mixed))
    for texts, source in ((out, "stdout"), (err, "stderr")):
        assert "".join(texts_of(one for one in lines if one.entry.source == source)) == "".join(texts)


@given(PIECES, st.integers(0, 6))
def test_the_last_lines_are_those_of_the_whole_text(texts: list[str], count: int) -> None:
    lines = re.findall(r"[^\n]*\n|[^\n]+", "".join(texts))
    shown = "".join(texts_of(last_lines(pieces_of(texts), count)))
    assert shown == "".join(lines[len(lines) - min(count, len(lines)) :])


def test_a_pattern_is_looked_for_in_whole_lines() -> None:
    lines = whole_lines(pieces_of(["lo", "ss 1\nacc 2\nlos", "s 3"]))
    assert texts_of(matching(lines, re.compile("loss .$"))) == ["loss 1\n", "loss 3"]


def test_an_attempt_does_not_go_on_in_the_last_line_of_the_one_before() -> None:
    pieces = [
        Piece(
            "k",
            LogEntry(NOW + timedelta(seconds=number), "stdout", f"attempt {number}"),
            Place(number),
            Place(number),
            ended=True,
        )
        for number in (1, 2, 3)
    ]
    lines = list(whole_lines(pieces))
    assert texts_of(lines) == ["attempt 1\n", "attempt 2\n", "attempt 3"]
    assert [line.entry.timestamp for line in lines] == [piece.entry.timestamp for piece in pieces]
    assert [line.place.attempt for line in lines] == [1, 2, 3]


@given(PIECES, PIECES, st.lists(st.integers(0, 3), min_size=1, max_size=4))
def test_merged_logs_are_in_the_order_of_time_and_each_is_whole(
    one: list[str], two: list[str], gaps: list[int]
) -> None:
    merged = list(by_time([pieces_of(one, "a", gaps=gaps), pieces_of(two, "b", gaps=gaps[::-1])]))
    times = [piece.entry.timestamp for piece in merged]
    assert times == sorted(times)
    assert texts_of(merged, "a") == one
    assert texts_of(merged, "b") == two


@given(PIECES, PIECES)
def test_followed_logs_each_come_whole(one: list[str], two: list[str]) -> None:
    merged = list(as_they_come([pieces_of(one, "a"), pieces_of(two, "b")]))
    assert texts_of(merged, "a") == one
    assert texts_of(merged, "b") == two


def test_one_log_that_breaks_off_breaks_all_off() -> None:
    def broken():
        yield from pieces_of(["x"], "a")
        raise ConnectionError

    with pytest.raises(ConnectionError):
        list(as_they_come([broken(), pieces_of(["y"], "b")]))


class Endless:
    """A log that never ends, and tells whether it was let go of."""

    def __init__(self, key: str) -> None:
        self._pieces = itertools.cycle(pieces_of(["x\n"], key))
        self.closed = threading.Event()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Piece:
        return next(self._pieces)

    def close(self) -> None:
        self.closed.set()


@pytest.mark.parametrize("count", [2, 50])
def test_logs_that_are_followed_no_more_are_let_go_of_with_their_threads(count: int) -> None:
    logs = [Endless(str(number)) for number in range(count)]
    reading = LogReading(as_they_come(logs), {})
    before = set(threading.enumerate())
    next(reading)
    begun = set(threading.enumerate()) - before
    assert len(begun) == count
    reading.close()
    for log in logs:
        assert log.closed.wait(10)
    for thread in begun:
        thread.join(10)
        assert not thread.is_alive()


def test_one_log_that_breaks_off_lets_go_of_the_others() -> None:
    def broken():
        yield from pieces_of(["x"], "a")
        raise ConnectionError

    other = Endless("b")
    with pytest.raises(ConnectionError):
        for _ in as_they_come([broken(), other]):
            pass
    assert other.closed.wait(10)


def test_what_is_read_in_the_background_is_let_go_of_when_nobody_wants_it_any_more() -> None:
    log = Endless("a")
    pieces = in_background(log)
    next(pieces)
    pieces.close()
    assert log.closed.wait(10)
