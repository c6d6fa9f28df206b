"""Tables and lines on terminals of any width."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from support.terminal import Terminal
from trebuchet.cli.fitting import cut, width
from trebuchet.cli.render import table

if TYPE_CHECKING:
    from collections.abc import Callable

HEADS = ("JOB", "NAME", "CLUSTER", "STATE", "EXIT", "WHY")
ROW = ("k3f9abcdefgh", "训练" * 30, "nightly", "RUNNING", "1", "waits for 8 GPUs of a kind that nobody has")


@pytest.mark.parametrize("room", [120, 80, 60, 40, 24, 20])
def test_a_table_fits_and_the_state_is_the_last_column_to_go(room: int) -> None:
    lines = table(HEADS, [ROW], room=room).splitlines()
    assert max(map(width, lines)) <= room
    assert "RUNNING" in lines[1]
    assert room < 24 or ROW[0] in lines[1]
    assert room < 40 or "…" in lines[1]


def test_a_table_for_no_terminal_is_never_cut() -> None:
    assert all(cell in table(HEADS, [ROW]) for cell in ROW)


def test_wide_characters_take_two_columns_and_combining_ones_none() -> None:
    assert (width("训练"), width("e\u0301"), width("\x1b[31mred\x1b[0m")) == (4, 1, 3)
    assert cut("训练训练", 6) == "训练…"
    assert cut("abc", 3) == "abc"


@pytest.mark.usefixtures("home")
def test_status_fits_the_terminal_and_is_whole_in_a_pipe(
    trebuchet: Callable[..., Any], job_file: Callable[..., str]
) -> None:
    name = "n" * 120
    key = trebuchet("up", job_file("true", name=name[:30]), "--name", name, "-d", "--json").json["key"]
    shown = Terminal("status", key, columns=50).read_to_its_end().splitlines()
    assert max(map(len, shown)) <= 50
    assert any("STATE" in line for line in shown)
    assert name in trebuchet("status", key).out


def test_a_plan_is_wrapped_at_the_width_of_the_terminal(job_file: Callable[..., str]) -> None:
    names = {f"A_VARIABLE_{number}": "x" for number in range(20)}
    shown = Terminal("plan", job_file("true", envs=names), columns=50).read_to_its_end()
    assert max(len(line) for line in shown.splitlines() if "A_VARIABLE" in line) <= 50
