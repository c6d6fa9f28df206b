"""The live table, on a terminal."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING, Any

import pytest

from support.engine import wait_until
from support.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("home")


def test_the_table_shows_what_a_job_says_and_stays_when_one_leaves(
    trebuchet: Callable[..., Any], job_file: Callable[..., str]
) -> None:
    script = "echo first; until [ -e /tmp/go ]; do sleep 0.1; done; echo second; sleep 600"
    key = trebuchet("up", job_file(script), "-d", "--json").json["key"]
    terminal = Terminal("status", key, "--watch")
    terminal.read_until("first")
    trebuchet("exec", key, "--", "touch", "/tmp/go")
    terminal.read_until("second")
    trebuchet("cancel", key)
    terminal.read_until("CANCELLED")
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.process.wait(timeout=30) == 0
    terminal.read_until("CANCELLED")


def test_the_table_shows_what_a_job_takes(
    trebuchet: Callable[..., Any], job_file: Callable[..., str]
) -> None:
    script = "python3 -c 'held = bytearray(300_000_000)\nwhile True: pass'"
    key = trebuchet("up", job_file(script), "-d", "--json").json["key"]
    terminal = Terminal("status", key, "--watch")
    pattern = re.compile(r"RUNNING.*? (\d+)%  +(\d+) MB")
    shown = ""

    def is_busy() -> bool:
        nonlocal shown
        shown += terminal.read()
        return any(int(cpu) > 0 and int(memory) >= 300 for cpu, memory in pattern.findall(shown))

    wait_until(is_busy)
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.process.wait(timeout=30) == 0
    trebuchet("cancel", key)


@pytest.mark.usefixtures("own_home")
def test_a_low_terminal_shows_what_goes_on_and_how_much_more_there_is(
    trebuchet: Callable[..., Any], job_file: Callable[..., str]
) -> None:
    trebuchet("up", job_file("sleep 600", name="goes-on"), "-d")
    for number in range(3):
        trebuchet("up", job_file("true", name=f"ended-{number}"))
    terminal = Terminal("status", "--watch")
    terminal.resize(6, 80)
    terminal.read_until("goes-on")
    terminal.read_until("… and 3 more")
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.process.wait(timeout=30) == 0


def test_without_a_terminal_it_says_what_to_use(trebuchet: Callable[..., Any]) -> None:
    answer = trebuchet("status", "--watch")
    assert answer.code == 201
    assert "--json" in answer.err
