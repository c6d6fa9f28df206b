"""Several jobs at once, finished ones again, and what is left over, from the command line."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import pytest

from trebuchet.launcher import Launcher
from trebuchet.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("home")


def test_several_files_are_launched_at_once_and_waited_for(
    trebuchet: Callable[..., Any], job_file: Callable[..., str], cluster: str
) -> None:
    files = [job_file(f"exit {code}", name=f"job{code}") for code in (0, 3, 5)]
    answer = trebuchet("up", *files, "-c", cluster)
    assert answer.code == 5, answer.err
    shown = trebuchet("status", cluster, "--json").json
    assert {(one["name"], one["exit_code"]) for one in shown} == {("job0", 0), ("job3", 3), ("job5", 5)}
    named = trebuchet("status", "--cluster", cluster, "--name", "job[35]", "--since", "1h", "--json").json
    assert {one["name"] for one in named} == {"job3", "job5"}
    for state, names in (("succeeded", {"job0"}), ("failed", {"job3", "job5"}), ("running", set())):
        of_state = trebuchet("status", cluster, "--state", state, "--json").json
        assert {one["name"] for one in of_state} == names
    both = trebuchet("status", cluster, "--state", "succeeded", "--state", "failed", "--json").json
    assert len(both) == 3
    keys = [one["key"] for one in shown]
    assert trebuchet("wait", *keys).code == 5


def test_a_finished_job_is_launched_once_more(
    trebuchet: Callable[..., Any], job_file: Callable[..., str], cluster: str
) -> None:
    file = job_file("echo $WORD", envs={"WORD": "first"})
    first = trebuchet("up", file, "-d", "--json", "-c", cluster).json
    trebuchet("wait", first["key"])
    refused = trebuchet("up", "--retry", first["key"])
    assert refused.code != 0
    assert "--env WORD" in refused.err
    again = trebuchet("up", "--retry", first["key"], "--env", "WORD=second")
    assert (again.code, again.out) == (0, "second\n")
    assert trebuchet("up", "--retry", first["key"], "--gpus", "H100").code == 201


def test_orphans_of_another_machine_are_ended_only_where_that_is_said(
    trebuchet: Callable[..., Any], job_file: Callable[..., str], cluster: str, home: Path, tmp_path: Path
) -> None:
    here = {"TREBUCHET_APP": cluster}
    file = job_file("sleep 600")
    one, two = (trebuchet("up", file, "-d", "--json", "-c", cluster, **here).json for _ in range(2))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "local").symlink_to(home / "local")
    there = {"TREBUCHET_HOME": str(tmp_path / "elsewhere"), **here}
    listed = {one["id"]: one for one in trebuchet("orphans", "--json", **there).json}
    assert set(listed) == {one["id"], two["id"]}
    assert (listed[one["id"]]["key"], listed[one["id"]]["owner"]) == (one["key"], socket.gethostname())

    nothing = trebuchet("orphans", "--end", **there)
    assert (nothing.code, nothing.out) == (0, "")
    assert "2 may be another machine's" in nothing.err
    assert {one["state"] for one in trebuchet("status", cluster, "--json", **here).json} == {"RUNNING"}

    assert trebuchet("orphans", "--end", one["key"], **there).code == 0
    assert trebuchet("wait", one["key"], **here).code == 137
    assert trebuchet("orphans", "--end", "--all-owners", two["key"], **there).code == 201
    assert trebuchet("orphans", "--end", "--all-owners", **there).code == 0
    assert trebuchet("wait", two["key"], **here).code == 137


def test_a_machine_where_nothing_was_launched_adopts_what_runs(
    trebuchet: Callable[..., Any], job_file: Callable[..., str], cluster: str, home: Path, tmp_path: Path
) -> None:
    launched = trebuchet("up", job_file("sleep 600"), "-d", "--json", "-c", cluster).json
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "local").symlink_to(home / "local")
    shown = trebuchet("status", "--all", "--json", TREBUCHET_HOME=str(elsewhere)).json
    [found] = [one for one in shown if one["key"] == launched["key"]]
    assert (found["id"], found["cluster"], found["state"]) == (launched["id"], cluster, "RUNNING")
    trebuchet("cancel", launched["key"])


def test_a_damaged_ledger_is_begun_anew_with_what_runs(
    trebuchet: Callable[..., Any], job_file: Callable[..., str], cluster: str, home: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "local").symlink_to(home / "local")
    there = {"TREBUCHET_HOME": str(elsewhere)}
    launched = trebuchet("up", job_file("sleep 600"), "-d", "--json", "-c", cluster, **there).json
    ledger = elsewhere / "ledger.sqlite3"
    for file in elsewhere.glob("ledger.sqlite3-*"):
        file.unlink()
    ledger.write_bytes(b"no ledger at all" * 1000)
    answer = trebuchet("status", "--json", **there)
    assert launched["id"] in {one["id"] for one in json.loads(answer.out)}
    assert "was damaged" in answer.err
    trebuchet("cancel", launched["key"], **there)


def test_what_ended_long_ago_is_forgotten(
    trebuchet: Callable[..., Any], job_file: Callable[..., str], cluster: str, home: Path
) -> None:
    launched = trebuchet("up", job_file("echo hello"), "-d", "--json", "-c", cluster).json
    trebuchet("logs", "-f", launched["key"])
    trebuchet("wait", launched["key"])
    assert (home / "logs" / launched["key"]).is_dir()
    assert trebuchet("prune", "--older-than", "1h").code == 0
    launcher = Launcher(Settings(home=home))
    assert launcher.contexts.ledger.job(launched["key"]) is not None
    launcher.prune(older_than_s=-60)
    assert launcher.contexts.ledger.job(launched["key"]) is None
    assert not (home / "logs" / launched["key"]).exists()
    launcher.close()
