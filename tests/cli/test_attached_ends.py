"""What `up` says when its job has ended, whatever becomes of the outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("home")

LEAVES = "echo 1 > /outputs/model"


def test_a_job_without_outputs_that_were_to_be_pulled_is_no_failure(
    trebuchet: Callable[..., Any], job_file: Callable[..., str]
) -> None:
    answer = trebuchet("up", job_file("true"), "--pull", "here")
    assert answer.code == 0
    assert "SUCCEEDED job" in answer.err
    assert "it has no outputs" in answer.err
    assert "trebuchet logs" in answer.err


@pytest.mark.parametrize(("script", "code"), [(LEAVES, 200), (f"{LEAVES}; exit 3", 3)])
def test_outputs_that_cannot_be_written_do_not_hide_how_the_job_ended(
    trebuchet: Callable[..., Any], job_file: Callable[..., str], tmp_path: Path, script: str, code: int
) -> None:
    (tmp_path / "in the way").touch()
    answer = trebuchet("up", job_file(script), "--pull", "in the way")
    assert answer.code == code
    assert "error: in the way" in answer.err
    told = answer.err.splitlines()
    assert any(line.startswith(("SUCCEEDED job", "FAILED job")) for line in told)
    assert any(line.startswith("  bring its outputs here: trebuchet pull ") for line in told)
    assert any(line.endswith(" '' 'in the way'") for line in told)


def test_a_progress_bar_is_one_of_the_last_lines(
    trebuchet: Callable[..., Any], job_file: Callable[..., str]
) -> None:
    script = r"seq 20; for i in 1 2 3; do printf '\r bar %s' $i; done; printf '\r\n\f\n'; exit 1"
    told = trebuchet("up", job_file(script)).err.splitlines()
    shown = [line for line in told if line.startswith("  | ")]
    assert shown == [*(f"  | {i}" for i in range(13, 21)), "  |  bar 3", "  | ?"]


def test_each_attempts_output_is_shown_under_its_number(
    trebuchet: Callable[..., Any], job_file: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # All attempts have come and gone before anybody looks a second time.
    monkeypatch.setenv("TREBUCHET_RESTART_PAUSE_S", "0")
    script = 'printf "of $TREBUCHET_ATTEMPT"; exit 1'
    answer = trebuchet("up", job_file(script, max_restarts=2, restart_on=["failure"]))
    assert (answer.code, answer.out) == (1, "of 1\nof 2\nof 3")
    told = answer.err.splitlines()
    assert [line for line in told if line.startswith("attempt ")] == ["attempt 2:", "attempt 3:"]
    assert [line for line in told if line.startswith("  | ")] == ["  | of 1", "  | of 2", "  | of 3"]
