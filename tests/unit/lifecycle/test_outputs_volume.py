"""Where a job's outputs are is told by its launch, whatever the setting says later."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from typing import TYPE_CHECKING

import pytest

from trebuchet.errors import NotFoundError
from trebuchet.launcher import Launcher
from trebuchet.launcher.pruning import Pruned

if TYPE_CHECKING:
    from pathlib import Path

    from support.bench import Bench


def _with(bench: Bench, volume: str) -> Launcher:
    return Launcher(replace(bench.launcher.settings, outputs_volume=volume))


def test_a_job_that_keeps_no_outputs_has_none_and_none_of_them_is_there(bench: Bench, tmp_path: Path) -> None:
    launcher = _with(bench, "")
    _, status = launcher.up(bench.job("echo x"), bench.cluster)
    bench.ended(status)
    for one in (launcher, bench.launcher):
        outputs = one.outputs(status.key)
        assert outputs.list() == []
        with pytest.raises(NotFoundError):
            outputs.list("x")
        with pytest.raises(NotFoundError):
            outputs.read("x", BytesIO())
        with pytest.raises(NotFoundError):
            outputs.pull(dest=tmp_path / "here")
    launcher.outputs(status.key).remove()


@pytest.mark.parametrize("later", ["", "another"])
def test_outputs_are_found_where_the_job_was_launched_with(bench: Bench, later: str) -> None:
    status = bench.ended(bench.up("echo x >/outputs/x"))
    [many] = _with(bench, "").up_many([bench.job("true")], bench.cluster)
    launcher = _with(bench, later)
    assert [file.path for file in launcher.outputs(status.key).list()] == ["x"]
    assert launcher.outputs(many.key).list() == []  # pyright: ignore
    found = BytesIO()
    launcher.outputs(status.key).read("x", found)
    assert found.getvalue() == b"x\n"


def test_pruning_under_another_setting_keeps_what_has_outputs(own_bench: Bench) -> None:
    status = own_bench.ended(own_bench.up("echo x >/outputs/x"))
    assert _with(own_bench, "").prune(older_than_s=-1) == Pruned(forgotten=0, kept=1)
    assert [file.path for file in own_bench.launcher.outputs(status.key).list()] == ["x"]


def test_a_job_is_launched_again_into_what_the_setting_says_then(bench: Bench) -> None:
    status = bench.ended(bench.up("echo x >/outputs/x"))
    _, again = _with(bench, "another").retry(status.key)
    bench.ended(again)
    volume = bench.launcher.contexts.of("local").engine.list_files("another", again.key)
    assert [file.path for file in volume if file.kind == "file"] == [f"{again.key}/x"]
