"""What the command line says where people stumble."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize("line", ["up", "plan", "check", "run", "pull k x", "cp k:x"])
def test_files_are_completed_in_every_shell(trebuchet: Callable[..., Any], shell: str, line: str) -> None:
    words = f"trebuchet {line} "
    variables = {"COMP_WORDS": words, "COMP_CWORD": "" if shell == "fish" else str(len(words.split()))}
    answer = trebuchet(**{"_TREBUCHET_COMPLETE": f"{shell}_complete", **variables})
    assert answer.out.strip().startswith("file"), answer


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("verb", [["prune", "--outputs"], ["rm"]])
def test_a_question_that_nobody_can_answer_says_what_to_do(
    trebuchet: Callable[..., Any], job_file: Callable[..., str], verb: list[str]
) -> None:
    key = trebuchet("up", job_file("true"), "-d", "--json").json["key"]
    trebuchet("wait", key)
    answer = trebuchet(*verb, *([key] if verb == ["rm"] else []))
    assert answer.code == 201
    assert "no terminal to ask on" in answer.err
    assert "-y" in answer.err
    assert "interrupted" not in answer.err


def test_doctor_fails_with_a_remedy_where_no_state_can_be_kept(trebuchet: Callable[..., Any]) -> None:
    findings = trebuchet("doctor", "--json", TREBUCHET_HOME="/proc/nope").json
    (state,) = [finding for finding in findings if finding["subject"] == "state folder"]
    assert state["level"] == "fail"
    assert all(finding["remedy"] for finding in findings if finding["level"] == "fail")


def test_a_relative_state_folder_in_a_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    script = f"cd {gone} && rmdir {gone} && exec {sys.executable} -m trebuchet status"
    answer = subprocess.run(
        ["bash", "-c", script],
        env={**os.environ, "TREBUCHET_HOME": "state", "PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 201, answer.stderr
    assert "TREBUCHET_HOME is a relative path, 'state'" in answer.stderr


def test_a_moment_in_an_event_is_told_as_a_time(capsys: pytest.CaptureFixture[str]) -> None:
    from trebuchet.cli.events import show_events
    from trebuchet.ledger import Event

    show_events(
        [Event(at=1_795_902_000.0, kind="again", detail={"attempt": 2, "not_before": 1_795_902_123.7})]
    )
    out = capsys.readouterr().out
    assert "1795902123" not in out
    assert "attempt=2 not_before=2026-11-2" in out  # in whichever time zone


@pytest.mark.usefixtures("own_home")  # The other has jobs of both clouds.
def test_a_cloud_without_jobs_is_named(trebuchet: Callable[..., Any], job_file: Callable[..., str]) -> None:
    trebuchet("up", job_file("true"), "-d")
    assert "No jobs on modal." in trebuchet("status", "--cloud", "modal").err


def test_help_is_found_under_its_name_and_a_group_alone_shows_its_own(trebuchet: Callable[..., Any]) -> None:
    for words, same in (
        ([], ["--help"]),
        (["up"], ["up", "--help"]),
        (["local", "gc"], ["local", "gc", "-h"]),
    ):
        answer = trebuchet("help", *words)
        assert (answer.code, answer.out) == (0, trebuchet(*same).out)
    assert trebuchet("help", "nosuch").code == 201
    alone = trebuchet("local")
    assert (alone.code, alone.err) == (0, "")
    assert "daemon" in alone.out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["logs", "k", "--tail", "x"], "'x' is not a whole number of 0 or more."),
        (["logs", "k", "--attempt", "0"], "'0' is not a whole number of 1 or more."),
        (["local", "serve", "--port", "70000"], "'70000' is not a whole number from 1 to 65535."),
        (["local", "gc", "--older-than", "soon"], "'soon' is not an age like 90m"),
    ],
)
def test_a_number_that_is_none_is_told_in_plain_words(
    trebuchet: Callable[..., Any], arguments: list[str], told: str
) -> None:
    answer = trebuchet(*arguments)
    assert answer.code == 201
    assert told in answer.err


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("age", ["1d", "1w", "24h", "0", "30"])
def test_ages_are_written_alike_for_all_that_is_cleared_away(trebuchet: Callable[..., Any], age: str) -> None:
    assert trebuchet("local", "gc", "--older-than", age, "--json").code == 0
    if age != "0":
        assert trebuchet("prune", "--older-than", age).code == 0


@pytest.mark.usefixtures("home")
def test_no_gpus_can_be_asked_for(trebuchet: Callable[..., Any], job_file: Callable[..., str]) -> None:
    file = job_file("true", resources={"cloud": "local", "accelerators": "H100"})
    answer = trebuchet("plan", file, "--gpus", "none")
    assert answer.code == 0, answer.err
    assert "H100" not in answer.out
