"""Which state of the user's code a job was launched from."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

from trebuchet.lifecycle.provenance import git_state

if TYPE_CHECKING:
    from pathlib import Path

    from support.bench import Bench

WHO = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", *WHO, *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def committed(folder: Path) -> str:
    """Make the folder a repository with one file; its commit."""
    git(folder, "init", "--quiet")
    (folder / "train.py").write_text("1\n")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "first")
    return git(folder, "rev-parse", "HEAD")


def test_a_clean_and_a_changed_work_dir_are_told_apart(tmp_path: Path) -> None:
    commit = committed(tmp_path)
    (tmp_path / "new.txt").write_text("is not in git, and changes nothing that is")
    assert git_state(str(tmp_path)) == (commit, False)
    (tmp_path / "train.py").write_text("2\n")
    assert git_state(str(tmp_path)) == (commit, True)


def test_a_folder_within_a_repository_is_of_its_commit(tmp_path: Path) -> None:
    commit = committed(tmp_path)
    (tmp_path / "inner").mkdir()
    assert git_state(str(tmp_path / "inner")) == (commit, False)


def test_where_git_has_nothing_to_tell_there_is_nothing(tmp_path: Path) -> None:
    assert git_state(None) == (None, None)
    assert git_state(str(tmp_path)) == (None, None)
    git(tmp_path, "init", "--quiet")
    assert git_state(str(tmp_path)) == (None, None)  # no commit yet


def test_a_job_keeps_it(bench: Bench, tmp_path: Path) -> None:
    commit = committed(tmp_path)
    (tmp_path / "train.py").write_text("2\n")
    status = bench.launcher.up(bench.job("true", working_dir=str(tmp_path)), bench.cluster)[1]
    facts = json.loads(bench.ended(status).metadata)
    assert (facts["git_commit"], facts["git_dirty"]) == (commit, True)
