"""What stands before each line of a log: on a terminal it also survives a progress bar."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from trebuchet.cli.log_sinks import Labeller
from trebuchet.logs.pieces import Piece
from trebuchet.logs.place import Place
from trebuchet.status import LogEntry

WHEN = datetime(2026, 1, 1, tzinfo=UTC)
LABELS = {"k": "k | ", "m": "m | "}


def labelled(*texts: tuple[str, str], on_terminal: bool) -> str:
    labeller = Labeller(LABELS, timestamps=False, on_terminal=on_terminal)
    return "".join(
        labeller.label(Piece(key, LogEntry(WHEN, "stdout", text), Place(1), Place(1), ended=True))
        for key, text in texts
    )


def screen(text: str) -> list[str]:
    """What a terminal shows: a line is written over from its beginning after a carriage return."""
    lines = [""]
    column = 0
    for character in text:
        if character == "\n":
            lines.append("")
            column = 0
        elif character == "\r":
            column = 0
        else:
            lines[-1] = lines[-1][:column] + character + lines[-1][column + 1 :]
            column += 1
    return lines


def test_a_bar_is_drawn_behind_the_label() -> None:
    shown = screen(labelled(("k", "\r 10%\r 20%\r100%\r\ndone\n"), on_terminal=True))
    assert shown == ["k | 100%", "k | done", ""]


def test_elsewhere_a_line_stays_what_it_was() -> None:
    assert labelled(("k", "\r 10%\r\n"), ("k", "\rx"), on_terminal=False) == "k | \r 10%\r\nk | \rx"


@given(st.text(alphabet="ab\r\n", max_size=30), st.lists(st.integers(0, 30), max_size=4))
def test_every_line_that_shows_anything_has_its_label_however_it_was_cut(text: str, cuts: list[int]) -> None:
    ends = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [("k", text[start:end]) for start, end in pairwise(ends)]
    shown, plain = screen(labelled(*pieces, on_terminal=True)), screen(text)
    if text.endswith("\n"):
        assert shown.pop() == plain.pop() == ""
    assert [line.removeprefix("k | ") for line in shown] == plain
    assert all(line.startswith("k | ") for line in shown if line)


def test_another_job_begins_a_line_of_its_own() -> None:
    assert labelled(("k", "a\r"), ("m", "b\n"), on_terminal=True) == "k | a\r\nm | b\n"


def test_another_attempt_begins_a_line_of_its_own() -> None:
    for labels, expected in ((LABELS, "k | a\nk | b"), ({}, "a\nb")):
        labeller = Labeller(labels, timestamps=False)
        pieces = [
            Piece("k", LogEntry(WHEN, "stdout", text), Place(at), Place(at), ended=True)
            for at, text in ((1, "a"), (2, "b"))
        ]
        assert "".join(map(labeller.label, pieces)) == expected
