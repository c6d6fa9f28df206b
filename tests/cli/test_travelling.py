"""What travels with a job is told before it does."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Answer

JOB = "workdir: project\nnum_nodes: 1\nrun: ls -A\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "empty").mkdir(parents=True)
    (folder / "sub").mkdir()
    (folder / "sub" / "words").write_text("12345")
    (folder / "letter").write_text("1")
    (folder / "to-folder").symlink_to("sub")
    (folder / "to-elsewhere").symlink_to("/usr")
    (folder / "to-nowhere").symlink_to("/gone")
    (tmp_path / "job.yaml").write_text(JOB)
    return folder


def test_a_plan_counts_what_would_be_sent(trebuchet: Callable[..., Answer], project: Path) -> None:
    answer = trebuchet("plan", "job.yaml", "--cloud", "local")
    told = " ".join(answer.out.split())
    assert "2 files, 6 bytes; the largest: sub/words (5 bytes)" in told
    for left in (
        "a link to a folder elsewhere is not followed: to-elsewhere",
        "leads nowhere: to-nowhere",
    ):
        assert left in told
    [files] = trebuchet("plan", "job.yaml", "--cloud", "local", "--json").json["files"]
    assert (files["source"], files["count"], files["bytes"]) == (str(project), 2, 6)


def test_the_largest_files_of_a_big_work_dir_are_named(
    trebuchet: Callable[..., Answer], project: Path
) -> None:
    with (project / "big").open("wb") as file:
        file.truncate(101_000_000)
    told = " ".join(trebuchet("plan", "job.yaml", "--cloud", "local").out.split())
    assert "3 files, 101 MB; the largest: big (101 MB), sub/words (5 bytes), letter (1 byte)" in told


@pytest.mark.usefixtures("home")
def test_a_second_launch_says_what_is_unchanged(trebuchet: Callable[..., Answer], project: Path) -> None:
    first = trebuchet("up", "job.yaml", "--cloud", "local")
    assert (first.code, first.out.split()) == (0, ["empty", "letter", "sub", "to-folder"]), first.err
    assert "left out, a link to a folder elsewhere is not followed: to-elsewhere" in first.err
    assert "unchanged" not in first.err
    assert "nothing had to be sent" not in first.err
    again = trebuchet("up", "job.yaml", "--cloud", "local").err
    assert "2 files, 6 bytes, unchanged" in again
    assert "nothing had to be sent: all 2 files were there already" in again
    (project / "letter").write_text("22")
    assert "unchanged" not in trebuchet("up", "job.yaml", "--cloud", "local").err


@pytest.mark.usefixtures("own_home")
def test_a_second_launch_with_a_gpu_says_it_too(trebuchet: Callable[..., Answer], project: Path) -> None:
    gpus = {"TREBUCHET_LOCAL_GPUS": "1xH100"}
    there = "nothing had to be sent: all 2 files were there already"
    assert project.is_dir()
    launch = ("up", "job.yaml", "--cloud", "local", "--gpus", "H100")
    first = trebuchet(*launch, **gpus)
    assert (first.code, there in first.err) == (0, False), first.err
    for _ in range(3):  # the keeper of the first launch creates the others, or another one does
        again = trebuchet(*launch, **gpus)
        assert (again.code, there in again.err) == (0, True), again.err


@pytest.mark.usefixtures("project")
def test_many_files_are_checked_without_the_sdk(trebuchet: Callable[..., Answer], tmp_path: Path) -> None:
    for number in range(500):
        (tmp_path / f"{number}.yaml").write_text(JOB)
    names = [f"{number}.yaml" for number in range(500)]
    answer = trebuchet("check", *names, "--cloud", "modal", PYTHONPROFILEIMPORTTIME="1")
    assert answer.code == 0
    assert len(answer.out.splitlines()) == 500
    loaded = {line.rsplit("|", 1)[-1].strip() for line in answer.err.splitlines()}
    assert "trebuchet.plan.make" in loaded
    assert not loaded & {"modal", "grpclib"}


def test_a_launch_whose_uploads_cannot_be_remembered_is_told_all_the_same(
    trebuchet: Callable[..., Answer], home: Path, project: Path
) -> None:
    assert project.is_dir()
    shutil.rmtree(home / "uploads", ignore_errors=True)
    (home / "uploads").write_text("in the way")
    answer = trebuchet("up", "job.yaml", "--cloud", "local", "-d", "-q")
    (home / "uploads").unlink()
    assert (answer.code, len(answer.out.split())) == (0, 1), answer.err
