"""A log as a text stream: the text is what it was, however it was cut."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from functools import partial
from io import StringIO
from queue import Queue
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trebuchet.client import ModalLogStream
from trebuchet.client.log_reading import LogReading
from trebuchet.logs.pieces import Piece
from trebuchet.logs.place import Place
from trebuchet.status import LogEntry

if TYPE_CHECKING:
    from typing import Self

WHEN = datetime(2026, 1, 1, tzinfo=UTC)
PIECES = st.lists(st.text(alphabet="ab\n\r é", max_size=8), max_size=8)


def entries(pieces: list[str]) -> list[LogEntry]:
    return [LogEntry(WHEN, "stdout", piece) for piece in pieces]


@given(PIECES)
def test_lines_are_those_of_the_whole_text(pieces: list[str]) -> None:
    assert list(ModalLogStream(entries(pieces))) == list(StringIO("".join(pieces), newline="\n"))


@given(PIECES, st.lists(st.tuples(st.booleans(), st.integers(-1, 6)), max_size=12))
def test_any_mix_of_reads_gives_what_a_file_gives(pieces: list[str], reads: list[tuple[bool, int]]) -> None:
    stream, file = ModalLogStream(entries(pieces)), StringIO("".join(pieces), newline="\n")
    for whole_line, size in reads:
        if whole_line:
            assert stream.readline(size) == file.readline(size)
        else:
            assert stream.read(size) == file.read(size)
    assert stream.read() == file.read()


@pytest.mark.parametrize("method", ["readline", "read"])
def test_a_long_piece_is_read_in_small_parts_without_being_copied_for_each(method: str) -> None:
    class Counting(str):
        """Counts the characters that are taken out of it."""

        copied = 0

        def __getitem__(self, key: Any) -> str:
            part = super().__getitem__(key)
            Counting.copied += len(part)
            return Counting(part)

    count = 2_000
    stream = ModalLogStream(entries([Counting("0123456\n" * count)]))
    parts = list(iter(partial(getattr(stream, method), 8), ""))
    assert parts == ["0123456\n"] * count
    assert Counting.copied <= 2 * 8 * count


@pytest.mark.parametrize("method", ["readline", "read"])
def test_what_was_taken_when_the_connection_broke_can_be_read_again(method: str) -> None:
    comes = iter(["ab", None, "c\n"])

    class Entries:
        def __iter__(self) -> Self:
            return self

        def __next__(self) -> LogEntry:
            if (text := next(comes)) is None:
                raise ConnectionError
            return LogEntry(WHEN, "stdout", text)

    stream = ModalLogStream(Entries())
    assert stream.read(1) == "a"
    with pytest.raises(ConnectionError):
        getattr(stream, method)()
    assert getattr(stream, method)() == "bc\n"


def test_what_the_control_plane_says_itself_is_left_out() -> None:
    assert ModalLogStream([LogEntry(WHEN, "system", "x"), LogEntry(WHEN, "stderr", "y")]).read() == "y"


def test_a_closed_stream_is_closed() -> None:
    stream = ModalLogStream(entries(["a"]))
    stream.close()
    with pytest.raises(ValueError, match="closed"):
        stream.read()


def test_a_broken_connection_is_no_end() -> None:
    def broken():
        yield LogEntry(WHEN, "stdout", "a")
        raise ConnectionError

    with pytest.raises(ConnectionError):
        ModalLogStream(broken()).read()


def test_lines_can_be_awaited() -> None:
    async def read() -> list[str]:
        return [line async for line in ModalLogStream(entries(["a\nb", "c\n", "d"]))]

    assert asyncio.run(read()) == ["a\n", "bc\n", "d"]


def test_entries_can_be_awaited() -> None:
    pieces = [Piece("k", entry, Place(1), Place(1), ended=True) for entry in entries(["a", "b"])]

    async def read() -> list[str]:
        return [entry.message async for entry in LogReading(iter(pieces), {})]

    assert asyncio.run(read()) == ["a", "b"]


def test_waiting_that_is_cancelled_loses_no_entry_and_nobody_waits_for_its_thread() -> None:
    """A log is silent for long: a program that waited for a while must get on, and may come back."""
    said: Queue[str | None] = Queue()
    pieces = (
        Piece("k", LogEntry(WHEN, "stdout", text), Place(number), Place(number), ended=True)
        for number, text in enumerate(iter(said.get, None), start=1)
    )
    reading = LogReading(pieces, {})

    async def wait_briefly() -> LogEntry | None:
        try:
            return await asyncio.wait_for(anext(reading), 0.05)
        except TimeoutError:
            return None

    before = time.monotonic()
    assert asyncio.run(wait_briefly()) is None
    assert time.monotonic() - before < 5
    start = reading.cursor
    said.put("here")
    assert asyncio.run(wait_briefly()) == LogEntry(WHEN, "stdout", "here")
    assert reading.cursor != start
    assert asyncio.run(wait_briefly()) is None
    reading.close()
    said.put(None)


def test_a_stream_of_lines_that_is_waited_for_in_vain_can_be_waited_for_again() -> None:
    said: Queue[str | None] = Queue()
    stream = ModalLogStream(LogEntry(WHEN, "stdout", text) for text in iter(said.get, None))

    async def wait_briefly() -> str | None:
        try:
            return await asyncio.wait_for(anext(aiter(stream)), 0.05)
        except TimeoutError:
            return None

    said.put("begun ")
    assert asyncio.run(wait_briefly()) is None
    said.put("and ended\n")
    assert asyncio.run(wait_briefly()) == "begun and ended\n"
    said.put(None)


def test_two_tasks_do_not_wait_for_one_item() -> None:
    said: Queue[str | None] = Queue()
    stream = ModalLogStream(LogEntry(WHEN, "stdout", text) for text in iter(said.get, None))

    async def both() -> list[str | BaseException]:
        tasks = [asyncio.ensure_future(anext(aiter(stream))) for _ in range(2)]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        said.put("one\n")
        return await asyncio.gather(*tasks, return_exceptions=True)

    first, second = asyncio.run(both())
    assert first == "one\n"
    assert isinstance(second, RuntimeError)
    said.put(None)
