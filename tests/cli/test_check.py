"""`check` says what a launch from here would meet, and where."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Answer


def test_a_cloud_to_rent_is_refused_with_its_place_and_the_way_out(
    trebuchet: Callable[..., Answer], tmp_path: Path
) -> None:
    (tmp_path / "job.yaml").write_text("resources:\n  cpus: 2\n  cloud: gcp\nrun: 'true'\n")
    for verb in ("check", "plan", "up"):
        answer = trebuchet(verb, "job.yaml")
        told = answer.out + answer.err
        assert answer.code == 203, (verb, told)
        assert "job.yaml:3:3: resources.cloud: gcp is none of Trebuchet's clouds" in told
        assert "--cloud modal or --cloud local" in told
    assert trebuchet("check", "job.yaml", "--cloud", "modal").code == 0


def test_a_batch_system_is_refused_for_its_scripts(trebuchet: Callable[..., Answer], tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text("resources: {cloud: slurm}\nrun: 'true'\n")
    for options in ((), ("--cloud", "modal")):
        answer = trebuchet("check", "job.yaml", *options)
        assert answer.code == 203
        assert "its scripts need PBS or Slurm" in answer.out


def test_each_local_file_that_is_not_here_is_refused_with_its_place_by_each_verb(
    trebuchet: Callable[..., Answer], tmp_path: Path
) -> None:
    (tmp_path / "here").touch()
    (tmp_path / "job.yaml").write_text(
        "workdir: nowhere\nfile_mounts:\n  /a: ./here\n  /b: ./gone\n  ~/.netrc: ./netrc\nrun: 'true'\n"
    )
    for verb in ("check", "plan", "up"):
        answer = trebuchet(verb, "job.yaml")
        told = answer.out + answer.err
        assert (answer.code, told.count("does not exist")) == (203, 3), (verb, told)
        assert f"job.yaml:1:1: workdir: {tmp_path}/nowhere does not exist." in told
        assert f"job.yaml:4:3: file_mounts./b: {tmp_path}/gone does not exist." in told
        assert f"job.yaml:5:3: file_mounts.~/.netrc: {tmp_path}/netrc does not exist." in told
        assert "it was to become /root/.netrc in the sandbox; create it, or take the mount out" in told
    [verdict] = trebuchet("check", "job.yaml", "--json").json
    assert (verdict["verdict"], len(verdict["refusals"])) == ("refused", 3)


def test_a_plan_is_shown_though_local_files_are_missing(
    trebuchet: Callable[..., Answer], tmp_path: Path
) -> None:
    (tmp_path / "here").touch()
    (tmp_path / "job.yaml").write_text("file_mounts: {/a: ./here, /b: ./gone}\nrun: 'true'\n")
    answer = trebuchet("plan", "job.yaml")
    assert (answer.code, f"{tmp_path}/here to /a" in answer.out) == (203, True), answer
    answer = trebuchet("plan", "job.yaml", "--json")
    assert answer.code == 203
    assert [one["source"] for one in answer.json["files"]] == [str(tmp_path / "here")]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ("workdir: afile", "afile is a file, and the work dir is a folder."),
        ("workdir: /dev/null", "/dev/null is neither a file nor a folder."),
        ("file_mounts: {/x: ./pipe}\nnum_nodes: 1", "pipe is neither a file nor a folder."),
    ],
)
def test_what_no_launch_can_send_is_refused_by_each_verb(
    trebuchet: Callable[..., Answer], tmp_path: Path, fields: str, told: str
) -> None:
    (tmp_path / "afile").touch()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "job.yaml").write_text(f"{fields}\nrun: 'true'\n")
    for verb in ("check", "plan", "up"):
        answer = trebuchet(verb, "job.yaml")
        assert (answer.code, told in answer.out + answer.err) == (203, True), (verb, answer)


def test_one_pipe_of_variables_is_enough_for_many_files(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text("secrets: {FOO: }\nenvs: {BAR: }\nrun: 'true'\n")
    reading, writing = os.pipe()
    os.write(writing, b"FOO=1\n")
    os.close(writing)
    (tmp_path / "more.env").write_text("BAR=2\n")
    given = ["--env-file", f"/dev/fd/{reading}", "--env-file", "more.env"]
    line = [sys.executable, "-m", "trebuchet", "check", "a.yaml", "b.yaml", *given]
    ended = subprocess.run(
        line, cwd=tmp_path, pass_fds=(reading,), capture_output=True, text=True, check=False, timeout=100
    )
    os.close(reading)
    assert (ended.returncode, ended.stdout.count("refused")) == (0, 0), ended.stdout + ended.stderr


def test_a_fault_of_a_file_of_variables_is_told_once(
    trebuchet: Callable[..., Answer], tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("canary\n")
    (tmp_path / "job.yaml").write_text("run: 'true'\n")
    answer = trebuchet("check", "job.yaml", "job.yaml", "--env-file", ".env")
    assert (answer.code, answer.out) == (202, "")
    assert answer.err.count(".env:1:1: This is not NAME=VALUE.") == 1


def test_a_plan_shows_what_its_candidates_differ_in(trebuchet: Callable[..., Answer], tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(
        "resources:\n  any_of:\n"
        "  - {cpus: 2, memory: 4, ports: 80, labels: {a: b}}\n"
        "  - {cpus: 4, image_id: 'docker:a/b', ports: [81, 82]}\n"
        "  - {cpus: 4, labels: {a: c}}\n"
        "run: 'true'\n"
    )
    told = trebuchet("plan", "job.yaml", "--cloud", "modal").out.split("Notes")[0]
    rows = [" ".join(line.split()) for line in told.splitlines()]
    for first, *others in (
        [
            "image 1. Debian slim, with zip, curl, git (apt), with awscli (pip)",
            "2. a/b",
            "3. Debian slim, with",
        ],
        ["gpu none", "cpu 1."],
        [
            "cpu 1. 1 physical core, 4 GiB of memory",
            "2. 2 physical cores, Modal's",
            "3. 2 physical cores, Modal's",
        ],
        ["ports 1. 80", "2. 81, 82", "3. none"],
        ["tags 1. a=b", "2. none", "3. a=c"],
    ):
        place = rows.index(first)
        found = rows[place + 1 : place + 1 + len(others)]
        assert all(row.startswith(other) for row, other in zip(found, others, strict=True)), told
    one = trebuchet("plan", "job.yaml", "--cloud", "modal", "--resources.any_of", "[]").out
    assert "1." not in one


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ("max_restarts: 3", "at most 3, when it is preempted or when it fails"),
        ("max_restarts: 3\nrestart_on: [7, 8]", "at most 3, when it ends with 7 or 8"),
        ("resources: {job_recovery: FAILOVER}", "at most 10, when it is preempted"),
        (
            "resources: {job_recovery: {max_restarts_on_errors: 2, recover_on_exit_codes: 33}}",
            "at most 10 when it is preempted or when it ends with 33; at most 2 when it fails otherwise",
        ),
    ],
)
def test_a_plan_shows_when_the_job_is_started_again(
    trebuchet: Callable[..., Answer], tmp_path: Path, fields: str, told: str
) -> None:
    (tmp_path / "job.yaml").write_text(f"{fields}\nrun: 'true'\n")
    shown = " ".join(trebuchet("plan", "job.yaml").out.split())
    assert f" restarts {told} starts in " in shown, shown


def test_a_plan_tells_how_little_modal_gives_by_default(
    trebuchet: Callable[..., Answer], tmp_path: Path
) -> None:
    (tmp_path / "job.yaml").write_text("run: 'true'\n")
    told = " ".join(trebuchet("plan", "job.yaml", "--cloud", "modal").out.split())
    assert "cpu Modal's default of 0.125 physical cores, Modal's default of 128 MiB of memory" in told
    assert "resources.cpus: Modal's default is asked for, 0.125 of a physical core and 128 MiB" in told
    assert "resources.cpus N --resources.memory N asks for more" in told
    told = trebuchet("plan", "job.yaml", "--cloud", "modal", "--resources.cpus", "2").out
    assert "resources.memory: Modal's default is asked for, 128 MiB of memory" in told
    assert "Modal's default" not in trebuchet("plan", "job.yaml", "--cloud", "local").out
