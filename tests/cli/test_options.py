from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click
import pytest

from trebuchet.cli.failures import exit_code_of, report
from trebuchet.cli.jobfile import JobOptions, length_of_time, read_job
from trebuchet.cli.logs import moment
from trebuchet.cli.verb import split_overrides
from trebuchet.errors import JobFileError, PlanError, Problem, TrebuchetError

if TYPE_CHECKING:
    from pathlib import Path

CONTEXT = click.Context(click.Command("up"))
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("arguments", "others", "overrides"),
    [
        (["f", "--a.b", "1"], ["f"], ["--a.b", "1"]),
        (["--a.b=1=2", "f"], ["f"], ["--a.b", "1=2"]),
        (["--a.b", "--c", "-d"], ["-d"], ["--a.b", "--c"]),
        (["--name=a.b", "./x.yaml", "-c.d"], ["--name=a.b", "./x.yaml", "-c.d"], []),
        (["f", "--", "--a.b", "1"], ["f", "--", "--a.b", "1"], []),
    ],
)
def test_dotted_options_are_parted_from_the_rest(
    arguments: list[str], others: list[str], overrides: list[str]
) -> None:
    assert split_overrides(arguments, CONTEXT) == (others, overrides)


def test_a_dotted_option_without_its_value_is_a_usage_error() -> None:
    with pytest.raises(click.UsageError, match="requires a value"):
        split_overrides(["f", "--a.b"], CONTEXT)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("1.5m", 90), ("2h", 7_200), ("1d", 86_400), ("1h30m", 5_400), (" 3 s", 3)],
)
def test_a_length_of_time_has_a_unit_or_is_in_seconds(text: str, seconds: int) -> None:
    assert length_of_time(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "-5", "soon", "5w"])
def test_what_is_no_length_of_time_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        length_of_time(text)


def test_a_moment_is_a_time_or_how_long_ago_it_was() -> None:
    assert moment("2026-01-01T00:00:00Z") == NOW
    assert abs(moment("10m") - (datetime.now(UTC) - timedelta(minutes=10))) < timedelta(seconds=5)


JOB = "envs: {A: job, B: job, C: job, D: job, S: job}\nsecrets: {S: job, N: }\nrun: x\n"


def test_of_two_that_set_a_variable_the_one_nearer_to_the_command_line_wins(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(JOB)
    from_file = dict.fromkeys("BCDSNX", "file")
    options = JobOptions(env_file=from_file, env=("D=env",))
    job = read_job(str(file), ["--envs.C", "dotted", "--envs.D", "dotted"], options)
    assert job.envs == {"A": "job", "B": "file", "C": "dotted", "D": "env", "S": "job", "X": "file"}
    assert job.secrets == {"S": "file", "N": "file"}
    given = read_job(str(file), ["--secrets.S", "dotted"], JobOptions(env_file=from_file, secret=("N=cmd",)))
    assert given.secrets == {"S": "dotted", "N": "cmd"}


def told(error: BaseException, capsys: pytest.CaptureFixture[str]) -> str:
    report(error, debug=False)
    return click.unstyle(capsys.readouterr().err)


def test_every_problem_of_a_file_is_told_with_its_place_and_way_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    problems = [Problem("`x` is not known.", "did you mean `y`?", "a.yaml", 3, 1), Problem("`run` is empty.")]
    for error in (JobFileError(problems), PlanError(problems)):
        lines = told(error, capsys).splitlines()
        assert lines == [
            "error: a.yaml:3:1: `x` is not known.",
            "hint: did you mean `y`?",
            "error: `run` is empty.",
        ]


def test_an_error_of_ours_has_its_hint_and_code(capsys: pytest.CaptureFixture[str]) -> None:
    error = TrebuchetError("It broke.", hint="mend it")
    assert told(error, capsys) == "error: It broke.\nhint: mend it\n"
    assert exit_code_of(error) == 200


def test_an_unexpected_error_is_called_a_bug_and_shows_no_traceback(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = told(ValueError("boom"), capsys)
    assert "ValueError: boom" in text
    assert "bug" in text
    assert "--debug" in text
    assert "Traceback" not in text
    assert exit_code_of(ValueError("boom")) == 200


def test_a_full_disk_is_told_in_the_systems_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert "No space left on device" in told(OSError(28, "ENOSPC", "/state/file"), capsys)
