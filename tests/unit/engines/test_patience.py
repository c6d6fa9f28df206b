"""A control plane that hangs is one that gives no answer, and holds nothing else up."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

import pytest

from support.engine import local_engine
from trebuchet.engines.modal import patience
from trebuchet.engines.modal.patience import answered
from trebuchet.errors import ClusterUnreachableError, JobNotFoundError
from trebuchet.status import JobState

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.bench import Bench


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "QUIET_S", 3.0)


def test_an_answer_and_an_error_come_as_they_are() -> None:
    assert answered(lambda _heard: 3) == 3

    def not_found(_heard: Callable[[], None]) -> None:
        raise JobNotFoundError("no")

    def timed_out(_heard: Callable[[], None]) -> None:
        raise TimeoutError("its own")

    with pytest.raises(JobNotFoundError):
        answered(not_found)
    with pytest.raises(TimeoutError, match="its own"):
        answered(timed_out)


def test_silence_is_no_answer_and_a_word_now_and_then_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "QUIET_S", 0.5)
    over = threading.Event()

    def talks(heard: Callable[[], None]) -> str:
        for _ in range(10):
            over.wait(0.1)
            heard()
        return "all"

    assert answered(talks) == "all"
    with pytest.raises(ClusterUnreachableError, match="no answer"):
        answered(lambda _heard: over.wait())
    over.set()


def test_every_look_up_of_a_control_plane_that_hangs_fails(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = bench.up("sleep 60")
    monkeypatch.setattr(patience, "QUIET_S", 0.5)
    engine = bench.launcher.contexts.of("local").engine
    bench.engine.set_faults({"call": "Sandbox*", "action": "delay", "seconds": 30.0})
    for look_up in (
        lambda: engine.find({}),
        lambda: engine.poll(status.id),
        lambda: engine.tags(status.id),
        lambda: engine.find_by_name("x"),
        lambda: engine.find_ended_by_name("x"),
        lambda: engine.terminate(status.id),
    ):
        with pytest.raises(ClusterUnreachableError):
            look_up()
    monkeypatch.undo()
    bench.engine.set_faults()
    bench.launcher.cancel(status.key)


@pytest.mark.usefixtures("impatient")
def test_who_waits_for_any_job_gets_those_of_the_control_plane_that_answers(
    own_bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with local_engine(tmp_path / "far") as far:
        monkeypatch.setenv("MODAL_SERVER_URL", far.endpoint.url)
        monkeypatch.setenv("MODAL_TOKEN_ID", far.endpoint.token_id)
        monkeypatch.setenv("MODAL_TOKEN_SECRET", far.endpoint.token_secret)
        launcher = own_bench.another()
        silent = launcher.up(own_bench.job("sleep 60"), own_bench.cluster, cloud="modal")[1]
        near = launcher.up(own_bench.job("true"), own_bench.cluster)[1]
        far.set_faults({"call": "Sandbox*", "action": "delay", "seconds": 60.0})
        first, second = launcher.wait([near.key, silent.key], any_one=True, timeout=60)
        assert (first.state, second.done) == (JobState.SUCCEEDED, False)
        known = launcher.status()["modal"]
        assert "no answer" in json.loads(known[0].metadata)["stale_why"]
        far.set_faults()
        launcher.cancel(silent.key)
        launcher.close()
