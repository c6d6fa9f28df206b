"""What a person is told of several jobs that are launched at once."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING, Any

import pytest

from support.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("home")


def test_the_notes_of_each_file_are_told_once_with_its_name(
    trebuchet: Callable[..., Any], job_file: Callable[..., str]
) -> None:
    spot = {"cloud": "local", "use_spot": True}
    alone = trebuchet("plan", job_file("true", name="a", resources=spot)).out
    assert "resources.use_spot" in alone
    files = [
        job_file("true", name="a", resources=spot),
        job_file("true", name="b", resources={**spot, "region": "eu"}),
    ]
    answer = trebuchet("up", *files)
    notes = [line for line in answer.err.splitlines() if line.startswith("note: ")]
    assert [note.split(": ")[1:3] for note in notes] == [
        ["a, b", "resources.use_spot"],
        ["b", "resources.region"],
    ], answer.err


def test_who_stays_with_several_jobs_sees_their_keys_and_how_to_come_back(
    trebuchet: Callable[..., Any], job_file: Callable[..., str]
) -> None:
    files = [job_file("sleep 600", name=name) for name in ("one", "two")]
    terminal = Terminal("up", *files)
    terminal.read_until("STATE")
    keys = []
    for name in ("one", "two"):
        terminal.read_until(f"  {name}  ")
    terminal.process.send_signal(signal.SIGINT)
    shown = terminal.read_to_its_end()
    assert terminal.process.returncode == 130
    told = re.search(r"come back: trebuchet wait (\w+) (\w+)", shown)
    assert told is not None, shown
    keys = list(told.groups())
    assert f"trebuchet cancel {keys[0]} {keys[1]}" in shown
    assert f"trebuchet status {keys[0]} {keys[1]}" in shown
    assert trebuchet("cancel", *keys).code == 0


def test_what_moves_fits_a_narrow_terminal(job_file: Callable[..., str]) -> None:
    files = [job_file("true", name=f"job{number}") for number in range(6)]
    shown = Terminal("up", *files, "-d", columns=24).read_to_its_end()
    steps = re.findall(r"\r\x1b\[K([^\r\n]*)", shown)
    assert any("6 of 6" in step for step in steps), shown
    assert max(len(step) for step in steps if "launching" in step) < 24
    assert "%" not in shown


def test_a_dumb_terminal_gets_no_colours_and_nothing_that_moves(job_file: Callable[..., str]) -> None:
    terminal = Terminal("up", job_file("true", name="plain"), job_file("true"), TERM="dumb", NO_COLOR="")
    shown = terminal.read_to_its_end()
    assert "SUCCEEDED" in shown
    assert "\x1b" not in shown
    colourful = Terminal("status", TERM="xterm", NO_COLOR="").read_to_its_end()
    assert "\x1b[" in colourful
