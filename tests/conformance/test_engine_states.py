"""How a sandbox's end, or its life, is told."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from trebuchet.engines.base import Observation
from trebuchet.engines.modal import observe
from trebuchet.errors import JobNotFoundError, LaunchError
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
def test_a_job_over_its_memory_ends_alone(bench: Bench, gpu: str | None) -> None:
    if bench.cloud == "modal":
        pytest.skip("what a job asks for is no limit there")
    other = bench.create("sleep", "100")
    take = "import time; held = bytearray(400 << 20); time.sleep(60)"
    seen = bench.wait(bench.create("python3", "-c", take, gpu=gpu, memory_mib=128))

    assert (seen.state, seen.reason, seen.exit_code) == (JobState.FAILED, Reason.OUT_OF_MEMORY, 137)
    assert bench.engine.poll(other).state is JobState.RUNNING


@ON_EACH_BACKEND
def test_a_termination(bench: Bench, gpu: str | None) -> None:
    sandbox_id = bench.create("sleep", "100", gpu=gpu)
    bench.engine.terminate(sandbox_id)
    seen = bench.wait(sandbox_id)

    assert (seen.state, seen.reason, seen.exit_code) == (JobState.CANCELLED, Reason.CANCELLED, 137)


@ON_EACH_BACKEND
def test_the_ends_are_told_apart_without_the_sdks_inside_too(
    bench: Bench, gpu: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observe, "_private_result", lambda _: None)
    by_itself = [bench.shell(f"exit {code}", gpu=gpu) for code in (124, 137)]
    late = bench.create("sleep", "100", gpu=gpu, timeout_s=1)
    ended = bench.create("sleep", "100", gpu=gpu)
    bench.engine.terminate(ended)

    assert [bench.wait(one).reason for one in (*by_itself, late, ended)] == [
        Reason.EXIT,
        Reason.EXIT,
        Reason.TIMEOUT,
        Reason.CANCELLED,
    ]


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


def test_what_waits_for_a_gpu_is_pending_and_can_be_ended(bench: Bench) -> None:
    if bench.cloud == "modal":
        pytest.skip("all of Modal's GPUs cannot be taken")
    holder = bench.create("sleep", "100", gpu="H100:8")
    failures: list[Exception] = []

    def wait_in_vain() -> None:
        try:
            bench.create("true", gpu="H100", tags={"mark": f"{bench.mark}q"})
        except Exception as error:  # noqa: BLE001 - whatever it is, the test looks at it
            failures.append(error)

    waiting = threading.Thread(target=wait_in_vain)
    waiting.start()
    bench.until(lambda: bench.engine.find({"mark": f"{bench.mark}q"}), "it is listed")
    (queued,) = bench.engine.find({"mark": f"{bench.mark}q"})

    seen = bench.engine.poll(queued)
    assert (seen.state, seen.waiting_for) == (JobState.PENDING, "1 of 1 GPU, 1st in the queue")
    assert list(bench.engine.logs(queued)) == []

    bench.engine.terminate(queued)
    assert bench.wait(queued).state is JobState.CANCELLED
    assert list(bench.engine.logs(queued, follow=True)) == []
    waiting.join(timeout=20)
    assert [type(error) for error in failures] == [LaunchError]
    assert bench.engine.poll(holder).state is JobState.RUNNING


def test_what_waited_for_a_gpu_runs_when_one_is_free(bench: Bench) -> None:
    if bench.cloud == "modal":
        pytest.skip("all of Modal's GPUs cannot be taken")
    holder = bench.create("sleep", "100", gpu="H100:8")
    made: list[str] = []
    waiting = threading.Thread(target=lambda: made.append(bench.shell("echo my turn", gpu="H100:8")))
    waiting.start()
    bench.until(lambda: len(bench.engine.find({"trebuchet-test": bench.mark})) == 2, "it is queued")
    bench.engine.terminate(holder)
    waiting.join(timeout=30)

    assert bench.wait(made[0]).state is JobState.SUCCEEDED
    assert bench.text(made[0]) == "my turn\n"
