"""What a launch says about, and keeps back of, Trebuchet's own files in a work dir."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.usefixtures("own_home")
def test_a_state_folder_in_the_work_dir_is_not_sent(
    trebuchet: Callable[..., Any], job_file: Callable[..., str], own_home: Path, tmp_path: Path
) -> None:
    (tmp_path / "script.py").write_text("pass")
    path = job_file("ls -A", name="job", working_dir=".")
    first = trebuchet("up", path)
    assert own_home.is_relative_to(tmp_path)
    assert sorted(first.out.split()) == ["job.yaml", "script.py"], first.err
    again = trebuchet("up", path)  # Now there is a ledger, and an engine with its token.
    assert sorted(again.out.split()) == ["job.yaml", "script.py"], again.err
    assert "left out, Trebuchet's own state, with its tokens: home" in again.err
    left = trebuchet("plan", path, "--json").json["files"][0]["left_out"]
    assert [one["path"] for one in left] == ["home"]
