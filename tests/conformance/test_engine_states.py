"""How a sandbox's end, or its life, is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from trebuchet.engines.base import Observation
from trebuchet.errors import JobNotFoundError
from trebuchet.status import JobState, Reason

if TYPE_CHECKING:
    from conftest import Bench

ON_EACH_BACKEND = pytest.mark.parametrize("gpu", [None, "H100"], ids=["V2", "V1"])


@pytest.fixture(autouse=True)
def _no_gpu_bills(request: pytest.FixtureRequest, bench: Bench) -> None:
    callspec = getattr(request.node, "callspec", None)
    if bench.cloud == "modal" and callspec is not None and callspec.params.get("gpu"):
        pytest.skip("a GPU on Modal costs money")


@ON_EACH_BACKEND
def test_success(bench: Bench, gpu: str | None) -> None:
    sandbox_id = bench.create("true", gpu=gpu)

    assert bench.wait(sandbox_id) == Observation(
        id=sandbox_id, state=JobState.SUCCEEDED, reason=Reason.EXIT, exit_code=0
    )


@ON_EACH_BACKEND
@pytest.mark.parametrize("code", [1, 124, 137, 255])
def test_a_failure_of_the_programs_own_whatever_its_code(bench: Bench, gpu: str | None, code: int) -> None:
    sandbox_id = bench.shell(f"exit {code}", gpu=gpu)

    assert bench.wait(sandbox_id) == Observation(
        id=sandbox_id, state=JobState.FAILED, reason=Reason.EXIT, exit_code=code
    )


@ON_EACH_BACKEND
def test_a_time_out(bench: Bench, gpu: str | None) -> None:
    seen = bench.wait(bench.create("sleep", "100", gpu=gpu, timeout_s=1))

    assert (seen.state, seen.reason, seen.exit_code) == (JobState.FAILED, Reason.TIMEOUT, 124)


@ON_EACH_BACKEND
def test_a_termination(bench: Bench, gpu: str | None) -> None:
    sandbox_id = bench.create("sleep", "100", gpu=gpu)
    bench.engine.terminate(sandbox_id)
    seen = bench.wait(sandbox_id)

    assert (seen.state, seen.reason, seen.exit_code) == (JobState.CANCELLED, Reason.CANCELLED, 137)


@ON_EACH_BACKEND
def test_it_runs_until_it_ends(bench: Bench, gpu: str | None) -> None:
    sandbox_id = bench.create("sleep", "100", gpu=gpu)

    assert bench.engine.poll(sandbox_id) == Observation(id=sandbox_id, state=JobState.RUNNING)


def test_terminating_what_has_ended_changes_nothing(bench: Bench) -> None:
    sandbox_id = bench.create("true")
    before = bench.wait(sandbox_id)
    bench.engine.terminate(sandbox_id)

    assert bench.engine.poll(sandbox_id) == before


def test_a_command_that_does_not_exist_is_a_failure(bench: Bench) -> None:
    seen = bench.wait(bench.create("no-such-program-anywhere"))

    assert seen.state is JobState.FAILED


UNKNOWN = ["garbage", "", "sb-", "sb-0000000000000000000000", "sb-../../etc/passwd", "im-123", "sb-ü"]


@pytest.mark.parametrize("sandbox_id", UNKNOWN)
def test_an_id_that_is_none_is_not_found(bench: Bench, sandbox_id: str) -> None:
    for ask in (bench.engine.poll, bench.engine.tags, bench.engine.terminate, bench.engine.handle):
        with pytest.raises(JobNotFoundError):
            ask(sandbox_id)
    with pytest.raises(JobNotFoundError):
        bench.engine.logs(sandbox_id)
