"""Jobs by their names, several at a time, and the newest of many."""

from __future__ import annotations

import subprocess
import sys
import uuid
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def name() -> str:
    return f"name-{uuid.uuid4().hex[:8]}"


def test_a_name_means_the_newest_job_of_that_name_and_all_else_goes_before_it(
    trebuchet: Callable[..., Any], job_file: Callable[..., str], name: str
) -> None:
    older, newer = (
        trebuchet("up", job_file(f"echo {word}", name=name), "-d", "--json").json["key"]
        for word in ("older", "newer")
    )
    trebuchet("wait", older, newer)
    assert trebuchet("logs", "-f", name).out == "newer\n"
    assert [one["key"] for one in trebuchet("status", name, "--json").json] == [newer]
    other = trebuchet("up", job_file("echo other"), "-d", "--json", "--key", name).json["key"]
    assert other == name
    assert trebuchet("logs", "-f", name).out == "other\n"


def test_a_name_of_several_unfinished_jobs_ends_none_of_them(
    trebuchet: Callable[..., Any], job_file: Callable[..., str], name: str
) -> None:
    keys = [trebuchet("up", job_file("sleep 600", name=name), "-d", "--json").json["key"] for _ in range(2)]
    refused = trebuchet("cancel", name)
    assert refused.code == 201
    assert f"{name} is the name of 2 unfinished jobs" in refused.err
    assert all(key in refused.err for key in keys)
    assert trebuchet("cancel", keys[1]).code == 0
    assert trebuchet("cancel", name, "-q").code == 0
    states = {one["key"]: one["state"] for one in trebuchet("status", *keys, "--json").json}
    assert states == dict.fromkeys(keys, "CANCELLED")


def test_status_takes_several_words_and_a_limit(
    trebuchet: Callable[..., Any], job_file: Callable[..., str], name: str
) -> None:
    keys = [trebuchet("up", job_file("true"), "-d", "--json", "-c", name).json["key"] for _ in range(3)]
    alone = trebuchet("up", job_file("true"), "-d", "--json").json["key"]
    shown = [one["key"] for one in trebuchet("status", name, alone, keys[0], "--json").json]
    assert shown == [alone, *reversed(keys)]
    newest = trebuchet("status", name, "--limit", "2", "--json").json
    assert [one["key"] for one in newest] == [keys[2], keys[1]]
    assert newest[0]["metadata"]["cloud"] == "local"


def test_a_job_file_comes_from_a_pipe(tmp_path: Any) -> None:
    text = "name: piped\nresources: {cloud: local}\nrun: echo from a pipe\n"
    ran = subprocess.run(
        [sys.executable, "-m", "trebuchet", "up", "-"],
        input=text, capture_output=True, text=True, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert (ran.returncode, ran.stdout) == (0, "from a pipe\n"), ran.stderr
    wrong = subprocess.run(
        [sys.executable, "-m", "trebuchet", "check", "-"],
        input="run: [", capture_output=True, text=True, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert wrong.returncode == 202
    assert "<stdin>:2:1:" in wrong.stdout


def test_a_secret_without_a_value_keeps_no_file_from_being_looked_at(
    trebuchet: Callable[..., Any], job_file: Callable[..., str]
) -> None:
    file = job_file("true", secrets={"TOKEN": None, "OTHER": "x"})
    told = "runs once it is given TOKEN: --secret TOKEN"
    checked = trebuchet("check", file)
    assert (checked.code, "secrets.TOKEN" in checked.out, "OTHER" in checked.out) == (203, True, False)
    planned = trebuchet("plan", file)
    assert planned.code == 0, planned.err
    assert told in planned.out
    assert trebuchet("plan", file, "--json").json["lacking"] == ["TOKEN"]
    assert "lacking" not in trebuchet("plan", file, "--secret", "TOKEN=y").out
    assert told not in trebuchet("plan", file, "--secret", "TOKEN=y").out
    assert trebuchet("check", file, "--json").json[0]["verdict"] == "refused"
    assert trebuchet("check", file, "--secret", "TOKEN=y").code == 0
    refused = trebuchet("up", file)
    assert refused.code == 203
    assert "TOKEN" in refused.err
