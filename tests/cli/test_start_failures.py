"""Jobs whose sandbox was made and could not start: what the user is told."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.mark.usefixtures("home")
def test_a_job_that_cannot_start_says_why_then_and_later(
    trebuchet: Callable[..., Any], job_file: Callable[..., str]
) -> None:
    answer = trebuchet("up", job_file("echo never", envs={"PATH": "/nowhere"}), "-k", "nowhere")
    assert answer.code == 212
    assert "bash: No such file or directory" in answer.err.rpartition("launch failed")[2]
    [status] = trebuchet("status", "nowhere", "--json").json
    assert status["reason"] == "launch_failed"
    assert "bash: No such file or directory" in status["metadata"]["message"]


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system too small for what sandboxes share."""
    place = tmp_path / "tiny"
    place.mkdir()
    mounted = subprocess.run(("mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", place), check=False)
    if mounted.returncode != 0:
        pytest.skip("only root can mount a small file system")
    yield place
    subprocess.run(("umount", "--lazy", place), check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system")
def test_a_disk_too_small_for_a_sandbox_is_named_as_the_reason(
    trebuchet: Callable[..., Any], job_file: Callable[..., str], tiny_disk: Path
) -> None:
    home = {"TREBUCHET_HOME": str(tiny_disk / "home")}
    answer = trebuchet("up", job_file("echo never"), **home)
    assert (answer.code, answer.out) == (214, "")
    assert answer.err.startswith("error: The disk is full: ")
    assert trebuchet("status", "--json", **home).json == []
    assert trebuchet("local", "status", **home).out.startswith("not running")
