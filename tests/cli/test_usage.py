"""Errors before anything is launched: a sentence or two, a hint, an exit code, and nothing left behind."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("own_home")


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["lunch"], 201, "Did you mean 'launch'?|There is no command 'lunch'"),
        (["statsu"], 201, "Did you mean 'status'?"),
        (["train.yaml"], 201, "trebuchet up train.yaml"),
        (["status", "--jsn"], 201, "--json"),
        (["up"], 201, "FILE"),
        (["up", "no-such.yaml"], 202, "no-such.yaml"),
        (["up", "x.yaml", "--resources.cpus"], 201, "requires a value"),
        (["up", "x.yaml", "--timeout", "soon"], 201, "length of time"),
        (["up", "x.yaml", "--json"], 201, "-d"),
        (["up", "x.yaml", "--env", "1X=secret-value"], 201, "name"),
        (["up", "x.yaml", "--env", "NOT_SET_HERE"], 201, "NOT_SET_HERE"),
        (["run", "x.yaml"], 201, "--cluster"),
        (["run", "x.yaml", "-c", "never-used"], 204, "never-used"),
        (["status", "no-such-job"], 204, "no-such-job"),
        (["logs", "no-such-job"], 204, "no-such-job"),
        (["cancel", "no-such-job"], 204, "no-such-job"),
        (["stop", "never-used"], 204, "never-used"),
        (["down", "never-used"], 204, "never-used"),
        (["wait", "no-such-job"], 204, "no-such-job"),
        (["events", "no-such-job"], 204, "no-such-job"),
        (["orphans", "--cloud", "local", "sb-no-such"], 204, "sb-no-such"),
        (["orphans", "--all-owners"], 201, "--end"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else None,
)
def test_a_mistake_gets_a_sentence_a_hint_and_an_exit_code(
    trebuchet: Callable[..., Any], job_file: Callable[..., str], arguments: list[str], code: int, told: str
) -> None:
    job_file("true", name="x")
    answer = trebuchet(*arguments)
    assert answer.code == code
    assert any(part in answer.err for part in told.split("|"))
    assert answer.err.startswith("error: ")
    assert "Traceback" not in answer.err
    assert "secret-value" not in answer.err
    assert answer.out == ""


@pytest.mark.parametrize("closed", ["0<&-", ">&-", "2>&-", "0<&- >&- 2>&-"])
@pytest.mark.parametrize(
    "arguments", [["--version"], ["check", "x.yaml"], ["plan", "x.yaml"], ["status"], ["up", "x.yaml"]],
    ids=lambda arguments: arguments[0],
)  # fmt: skip
def test_a_command_without_a_standard_stream_runs_as_with_the_null_device(
    job_file: Callable[..., str], tmp_path: Path, arguments: list[str], closed: str
) -> None:
    job_file("true", name="x")
    program = [sys.executable, "-m", "trebuchet", *arguments]
    line = ["bash", "-c", f'exec "$@" {closed}', "bash", *program]
    ended = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=100)
    assert ended.returncode == 0, ended.stderr
    assert "bug" not in ended.stderr


def test_an_error_shows_its_traceback_with_debug(trebuchet: Callable[..., Any]) -> None:
    for arguments in (["up", "no-such.yaml", "--debug"], ["--debug", "up", "no-such.yaml"]):
        answer = trebuchet(*arguments)
        assert "Traceback" in answer.err
        assert answer.code == 202


def test_status_of_nothing_points_to_up_and_exits_with_zero(trebuchet: Callable[..., Any]) -> None:
    answer = trebuchet("status")
    assert (answer.code, answer.out) == (0, "")
    assert "trebuchet up" in answer.err
    assert trebuchet("status", "--json").json == []
    assert trebuchet("status", "-q").out == ""


def test_which_lists_the_clouds(trebuchet: Callable[..., Any]) -> None:
    assert trebuchet("which").out.split() == ["local", "modal"]
    assert trebuchet("which", "--json").json == ["local", "modal"]


def test_plan_shows_names_of_variables_and_never_values(
    trebuchet: Callable[..., Any], job_file: Callable[..., str]
) -> None:
    path = job_file("true", envs={"LEARNING_RATE": "canary-of-the-file"})
    for form in ([], ["--json"]):
        answer = trebuchet("plan", path, "--secret", "HF_TOKEN=canary-of-the-line", *form)
        assert answer.code == 0
        assert "HF_TOKEN" in answer.out
        assert "LEARNING_RATE" in answer.out
        assert "canary" not in answer.out + answer.err


def test_dotted_overrides_reach_the_plan(trebuchet: Callable[..., Any], job_file: Callable[..., str]) -> None:
    path = job_file("true")
    with_space = trebuchet("plan", path, "--cloud", "modal", "--resources.accelerators", "H100:2")
    with_equals = trebuchet("plan", path, "--cloud=modal", "--resources.accelerators=H100:2")
    shorthand = trebuchet("plan", path, "--cloud", "modal", "--gpus", "H100:2")
    assert with_space.code == 0, with_space.err
    assert "H100:2" in with_space.out
    assert with_space.out == with_equals.out == shorthand.out


def test_check_gives_a_line_a_file_and_fails_if_one_is_refused(
    trebuchet: Callable[..., Any], job_file: Callable[..., str]
) -> None:
    good, bad = job_file("true", name="good"), job_file("true", name="bad", resorces={})
    answer = trebuchet("check", good, bad)
    assert answer.code == 202
    assert [line.partition(":")[0] for line in answer.out.splitlines()] == [good, bad]
    verdicts = trebuchet("check", good, bad, "--json").json
    assert [verdict["verdict"] for verdict in verdicts] == ["runs", "refused"]
    assert trebuchet("check", good).code == 0


def test_completion_scripts_are_printed(trebuchet: Callable[..., Any]) -> None:
    for shell in ("bash", "zsh", "fish"):
        assert "_TREBUCHET_COMPLETE" in trebuchet("completion", shell).out


def test_a_closed_pipe_is_no_error(own_home: Path) -> None:
    script = f"{sys.executable} -m trebuchet up --help | true"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False, env=os.environ)
    assert done.stderr == ""


def test_a_state_folder_that_cannot_be_made_is_an_error_in_words(
    trebuchet: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    answer = trebuchet("status", TREBUCHET_HOME=str(tmp_path / "file" / "home"))
    assert answer.code >= 200
    assert "Traceback" not in answer.err
    assert str(tmp_path / "file") in answer.err


def test_light_commands_load_no_heavy_library() -> None:
    heavy = ("modal", "rich", "yaml", "grpclib", "aiohttp", "google.protobuf", "trebuchet.emulator.rpc")
    for arguments in (["--version"], ["--help"], ["status"], ["which"]):
        script = (
            "import sys\nfrom trebuchet.cli.app import run_command_line\n"
            f"try: run_command_line({arguments!r})\nexcept SystemExit: pass\n"
            f"print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        assert done.stderr.splitlines()[-1] == "[]", arguments


def test_a_folder_that_is_gone_is_named_as_the_trouble(tmp_path: Path) -> None:
    job = tmp_path / "job.yaml"
    job.write_text("run: echo x")
    script = 'mkdir "$1/gone" && cd "$1/gone" && rmdir "$1/gone" && exec "$2" -m trebuchet up "$1/job.yaml"'
    done = subprocess.run(
        ["sh", "-c", script, "sh", str(tmp_path), sys.executable], capture_output=True, text=True, check=False
    )
    assert done.returncode == 201
    assert "is gone" in done.stderr
