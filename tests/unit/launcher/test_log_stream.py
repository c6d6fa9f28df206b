"""A log as a text stream: the text is what it was, however it was cut."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trebuchet.client import ModalLogStream
from trebuchet.client.log_reading import LogReading
from trebuchet.logs.pieces import Piece
from trebuchet.logs.place import Place
from trebuchet.status import LogEntry

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
    pieces = [Piece("k", entry, Place(1)) for entry in entries(["a", "b"])]

    async def read() -> list[str]:
        return [entry.message async for entry in LogReading(iter(pieces), {})]

    assert asyncio.run(read()) == ["a", "b"]
