"""A GPU is asked for as long as was said, and no longer, whoever asks."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from support.clocks import AheadClock
from support.engine import wait_until
from trebuchet.errors import CapacityError
from trebuchet.launcher import Launcher
from trebuchet.lifecycle.launch import failure_of
from trebuchet.status import JobState, Reason

if TYPE_CHECKING:
    from support.bench import Bench
    from trebuchet.status import JobStatus


def has_failed_for_want_of_a_gpu(launcher: Launcher, status: JobStatus) -> bool:
    failed = launcher.find(status.key, cached=True)
    told = json.loads(failed.metadata)
    assert (failed.state, failed.reason) == (JobState.FAILED, Reason.LAUNCH_FAILED)
    assert "No GPU (H100" in told["message"]
    assert "--wait-for-gpu" in told["hint"]
    assert isinstance(failure_of(launcher.job(status.key)), CapacityError)
    return True


def test_the_keeper_stops_asking_when_the_time_is_over(bench: Bench) -> None:
    bench.engine.hold_gpus(H100=4)
    status = bench.up("sleep 60", gpu="H100", wait_for_gpu=2.0)
    ledger = bench.launcher.contexts.ledger
    wait_until(lambda: (job := ledger.job(status.key)) is not None and job.end_at is not None)
    assert has_failed_for_want_of_a_gpu(bench.launcher, status)
    assert bench.running() == []


def test_where_no_keeper_is_left_the_next_command_stops_asking(bench: Bench) -> None:
    clock = AheadClock()
    launcher = Launcher(replace(bench.launcher.settings, keeper=False), clock=clock)
    bench.engine.hold_gpus(H100=4)
    status = launcher.up(bench.job("sleep 60", gpu="H100"), bench.cluster, wait_for_gpu=600)[1]
    bench.kill_keepers()
    clock.ahead = 590
    assert launcher.find(status.key).state is JobState.PENDING
    clock.ahead = 610
    wait_until(lambda: launcher.find(status.key).done)
    assert has_failed_for_want_of_a_gpu(launcher, status)
    assert bench.running() == []
    launcher.close()


def test_a_job_that_has_its_gpu_is_left_alone(bench: Bench) -> None:
    clock = AheadClock()
    launcher = Launcher(replace(bench.launcher.settings, keeper=False), clock=clock)
    status = launcher.up(bench.job("sleep 60", gpu="H100"), bench.cluster, wait_for_gpu=600)[1]
    wait_until(lambda: launcher.find(status.key).state is JobState.RUNNING)
    clock.ahead = 10_000
    assert launcher.find(status.key).state is JobState.RUNNING
    launcher.cancel(status.key)
    launcher.close()


def test_a_job_started_again_asks_no_longer_than_the_first_time(bench: Bench) -> None:
    launcher = Launcher(replace(bench.launcher.settings, restart_pause_s=0.1))
    bench.kill_keepers()
    ledger = launcher.contexts.ledger
    job = bench.job("until [ -e /tmp/go ]; do sleep 0.1; done; exit 1", gpu="H100:4", max_restarts=3)
    status = launcher.up(job, bench.cluster, wait_for_gpu=2.0)[1]
    wait_until(lambda: launcher.find(status.key, cached=True).state is JobState.RUNNING)
    bench.engine.hold_gpus(H100=4)
    bench.engine.get(status.id).exec("touch", "/tmp/go").wait()
    wait_until(lambda: (job := ledger.job(status.key)) is not None and job.end_at is not None)
    failed = launcher.find(status.key, cached=True)
    assert (failed.state, failed.reason, failed.attempt) == (JobState.FAILED, Reason.LAUNCH_FAILED, 2)
    assert bench.running() == []
    assert launcher.job(status.key).restarts == 1
    launcher.close()


def test_another_ledger_that_adopts_a_waiting_job_does_not_end_it(
    bench: Bench, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "local").symlink_to(bench.home / "local")
    bench.engine.hold_gpus(H100=4)
    status = bench.up("sleep 60", gpu="H100", wait_for_gpu=600)
    elsewhere = Launcher(replace(bench.launcher.settings, home=folder), clock=AheadClock(ahead=1_000))
    for _ in range(2):
        assert elsewhere.find(status.key).state is JobState.PENDING
    assert bench.running() == [status.id]
    bench.launcher.cancel(status.key)
    elsewhere.close()
