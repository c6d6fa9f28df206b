"""Outputs with names and kinds that nobody would wish for come home as they are, and nowhere else."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("home")

SCRIPT = r"""
cd /outputs
mkdir -p sub '...' .trebuchet-pull-x
echo 1 > $'new\nline'; echo 2 > $'esc\e[31mred'; echo 3 > ' -rf'; echo 4 > '..x'; echo 5 > sub/ü
echo 6 > $'bad\xff'; echo 7 > '\back'; echo 8 > 'a:b*?'; echo 9 > .trebuchet-pull-x/a
ln -s /etc/passwd link; ln -s / folder-link; ln -s ../../.. sub/up; mkfifo fifo
"""
EXPECTED = {
    "new\nline": "1", "esc\x1b[31mred": "2", " -rf": "3", "..x": "4", "sub/ü": "5",
    "bad\\xff": "6", "\\back": "7", "a:b*?": "8", ".trebuchet-pull-x/a": "9",
}  # fmt: skip


def test_hostile_names_and_kinds(
    trebuchet: Callable[..., Any], job_file: Callable[..., str], tmp_path: Path
) -> None:
    answer = trebuchet("up", job_file(SCRIPT), "--pull", "here")
    assert answer.code == 0, answer.err
    pulled = tmp_path / "here"
    found = {
        str(path.relative_to(pulled)): path.read_text().strip()
        for path in pulled.rglob("*")
        if not path.is_dir()
    }
    assert found == EXPECTED
    assert not any(path.is_symlink() for path in pulled.rglob("*"))
    assert {path.name for path in tmp_path.iterdir()} == {"here", "job.yaml"}

    key = trebuchet("status", "--json").json[0]["key"]
    listed = trebuchet("outputs", key)
    assert listed.code == 0
    assert "\x1b" not in listed.out
    assert "new\nline" not in listed.out
    assert trebuchet("cat", key, "bad\\xff").out == "6\n"
    for path in ("link", "folder-link/etc/passwd", "sub/up", "fifo"):
        answer = trebuchet("cat", key, path)
        assert (answer.code >= 200, answer.out) == (True, ""), path


def test_a_file_from_before_the_epoch_hides_no_outputs(
    trebuchet: Callable[..., Any], job_file: Callable[..., str], tmp_path: Path
) -> None:
    script = "echo old > /outputs/old; touch -d 1955-11-05 /outputs/old; echo new > /outputs/new"
    key = trebuchet("up", job_file(script), "-d", "-q").out.strip()
    assert trebuchet("wait", key).code == 0
    listed = {one["path"]: one["modified_at"] for one in trebuchet("outputs", key, "--json").json}
    assert (set(listed), listed["old"]) == ({"old", "new"}, 0)
    assert trebuchet("pull", key, "", "here").code == 0
    assert (tmp_path / "here/old").read_text() == "old\n"


def test_a_pull_replaces_no_pipe_and_no_device(
    trebuchet: Callable[..., Any], job_file: Callable[..., str], tmp_path: Path
) -> None:
    key = trebuchet("up", job_file("echo 1 > /outputs/x"), "-d", "-q").out.strip()
    assert trebuchet("wait", key).code == 0
    (tmp_path / "here").mkdir()
    os.mkfifo(tmp_path / "here/x")
    (tmp_path / "link").symlink_to("here/x")
    for path, target in (("x", "here/x"), ("x", "link"), ("", "here")):
        answer = trebuchet("pull", key, path, target)
        assert (answer.code, "neither a file nor a folder" in answer.err) == (201, True)
    assert (tmp_path / "here/x").is_fifo()
    assert (tmp_path / "link").is_symlink()
    assert {path.name for path in (tmp_path / "here").iterdir()} == {"x"}


def test_a_link_that_is_in_the_way_of_a_pull_is_replaced_and_its_file_stays(
    trebuchet: Callable[..., Any], job_file: Callable[..., str], tmp_path: Path
) -> None:
    key = trebuchet("up", job_file("echo came > /outputs/x"), "-d", "-q").out.strip()
    assert trebuchet("wait", key).code == 0
    (tmp_path / "mine").write_text("mine, and precious")
    (tmp_path / "link").symlink_to("mine")
    assert trebuchet("pull", key, "x", "link").code == 0
    assert (tmp_path / "link").read_text() == "came\n"
    assert not (tmp_path / "link").is_symlink()
    assert (tmp_path / "mine").read_text() == "mine, and precious"


def test_an_empty_folder_and_a_new_one_are_folders(
    trebuchet: Callable[..., Any], job_file: Callable[..., str], tmp_path: Path
) -> None:
    script = "cd /outputs; mkdir -p empty d; echo 1 > d/x; ln -s d/x link"
    key = trebuchet("up", job_file(script), "-d", "-q").out.strip()
    assert trebuchet("wait", key).code == 0
    assert trebuchet("pull", key, "empty", "made").code == 0
    assert list((tmp_path / "made").iterdir()) == []
    assert trebuchet("pull", key, "d/x", "new/er/").code == 0
    assert (tmp_path / "new/er/x").read_text() == "1\n"
    answer = trebuchet("pull", key, "link", "linked")
    assert (answer.code, (tmp_path / "linked").exists()) == (204, False)
