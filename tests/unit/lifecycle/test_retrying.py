"""A finished job, launched again as it was written down."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from trebuchet.errors import UsageError
from trebuchet.status import JobState

if TYPE_CHECKING:
    from support.bench import Bench


def _output(bench: Bench, key: str) -> str:
    return "".join(entry.message for entry in bench.launcher.logs(key) if entry.source == "stdout")


def test_a_finished_job_is_launched_again_under_a_key_of_its_own(bench: Bench) -> None:
    first = bench.ended(bench.up("echo hello; exit 3", name="train", setup="echo ready"))
    cluster, second = bench.another().retry(first.key)
    assert second.key != first.key
    assert (second.name, second.cluster, cluster.name()) == ("train", first.cluster, first.cluster)
    done = bench.ended(second)
    assert (done.state, done.exit_code) == (JobState.FAILED, 3)
    assert _output(bench, second.key) == "ready\nhello\n"
    assert bench.launcher.find(first.key).exit_code == 3


def test_values_must_be_given_again(bench: Bench) -> None:
    first = bench.ended(bench.up("echo $WORD", envs={"WORD": "canary-value"}))
    with pytest.raises(UsageError, match="WORD") as refused:
        bench.launcher.retry(first.key)
    assert "--env WORD" in (refused.value.hint or "")
    with pytest.raises(UsageError, match="OTHER"):
        bench.launcher.retry(first.key, {"WORD": "x", "OTHER": "y"})
    _, second = bench.launcher.retry(first.key, {"WORD": "another"})
    bench.ended(second)
    assert _output(bench, second.key) == "another\n"


def test_a_job_that_has_not_ended_is_not_launched_again(bench: Bench) -> None:
    status = bench.up("sleep 60")
    with pytest.raises(UsageError, match="has not ended"):
        bench.launcher.retry(status.key)
    bench.launcher.cancel(status.key)
