"""`trebuchet local gc` shows what can go before it goes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_it_shows_what_can_go_and_removes_it_only_when_told_to(
    trebuchet: Callable[..., Any], job_file: Callable[..., str], own_home: Path
) -> None:
    assert trebuchet("up", job_file("echo ran")).code == 0
    assert trebuchet("local", "gc").out == "nothing to remove\n"
    (sandbox,) = (own_home / "local" / "sandboxes").iterdir()
    os.utime(sandbox / "journal", (0, 0))

    shown = trebuchet("local", "gc")
    assert "1  ended sandboxes, with their logs" in shown.out
    assert shown.code != 0  # it asked, and nobody answered
    told = trebuchet("local", "gc", "--json").json
    assert (told["removed"], [one["kind"] for one in told["found"]]) == (False, ["sandbox"])
    assert told["bytes"] > 0
    assert sandbox.exists()

    gone = trebuchet("local", "gc", "--yes")
    assert gone.code == 0
    assert "removed 1" in gone.err
    assert not sandbox.exists()
    assert trebuchet("local", "gc", "--yes", "--json").json == {"removed": True, "found": [], "bytes": 0}


@pytest.mark.parametrize("days", ["-1", "soon"])
def test_an_age_that_is_none_is_refused(trebuchet: Callable[..., Any], days: str) -> None:
    assert trebuchet("local", "gc", "--older-than", days).code == 201
