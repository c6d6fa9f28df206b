"""Killed before or after any step that leaves the process, a launch is one sandbox or a failed launch.

The steps are found by running the action once and writing them down, not by a list.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.engine import wait_until
from trebuchet.lifecycle.handoff import keeper_command, keeper_environment
from trebuchet.status import JobState, Reason

if TYPE_CHECKING:
    from support.bench import Bench
    from trebuchet.ledger import Job

CHILD = Path(__file__).parent.parent / "support" / "child.py"
SAMPLE = 2
SEED = int(os.environ.get("TREBUCHET_CHAOS_SEED", "20261124"))


def act(bench: Bench, action: str, key: str, gpu: str | None = None, **variables: str) -> int:
    """Run the action in a process of its own; its exit status."""
    words = [sys.executable, str(CHILD), action, key, *([gpu] if gpu else [])]
    environment = {**os.environ, "TREBUCHET_HOME": str(bench.home), **variables}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode in {0, -signal.SIGKILL}, done.stderr
    return done.returncode


def new_key() -> str:
    return f"x{uuid.uuid4().hex[:10]}"


def count_steps(bench: Bench, action: str, gpu: str | None, folder: Path) -> int:
    """How many steps an action takes when nobody kills it."""
    key, steps = new_key(), folder / f"{action}-{gpu}"
    if action != "up":
        act(bench, "up", key, gpu)
    assert act(bench, action, key, gpu, TREBUCHET_STEPS=str(steps)) == 0
    bench.launcher.cancel(key)
    return len(steps.read_text().splitlines())


def settle(bench: Bench, key: str) -> Job | None:
    """One reconcile by a process that knows nothing but the ledger; for a GPU, until its keeper has acted."""
    ledger = bench.launcher.contexts.ledger
    bench.another().reconcile()

    def settled() -> bool:
        job = ledger.job(key)
        return job is None or job.sandbox_id is not None or job.end_at is not None

    wait_until(settled)
    return ledger.job(key)


def check_launch(bench: Bench, key: str) -> None:
    """One sandbox, and the ledger knows it; or none, and the ledger says why, or never heard of it."""
    job = settle(bench, key)
    running = bench.engine_listed("key", key)
    if job is None:
        assert running == []
    elif job.end_at is None:
        assert running == [job.sandbox_id]
    else:
        assert running == []
        assert (job.state, job.reason) == (JobState.FAILED, Reason.LAUNCH_FAILED)
        assert job.failure


def check_end(bench: Bench, key: str) -> None:
    """Ended if the wish was written; else as if nothing had been."""
    ledger = bench.launcher.contexts.ledger
    job = ledger.job(key)
    assert job is not None
    wanted = job.cancel_at is not None
    bench.another().reconcile()
    if not wanted:
        assert bench.engine_listed("key", key) == [job.sandbox_id]
        return
    wait_until(lambda: bench.engine_listed("key", key) == [])
    status = bench.another().find(key)
    assert (status.state, status.reason) == (JobState.CANCELLED, Reason.CANCELLED)


def crash(bench: Bench, action: str, gpu: str | None, step: int) -> bool:
    """Kill the action at a step and check what follows; whether it had that many."""
    key = new_key()
    if action != "up":
        act(bench, "up", key, gpu)
    killed = act(bench, action, key, gpu, TREBUCHET_CRASH_AT=str(step)) != 0
    if action == "up":
        check_launch(bench, key)
    else:
        check_end(bench, key)
    clear_away(bench, key)
    return killed


def clear_away(bench: Bench, key: str) -> None:
    if bench.launcher.contexts.ledger.job(key) is not None:
        bench.launcher.cancel(key)


def left_to_the_keeper(bench: Bench, folder: Path) -> str:
    """A job that waits for a keeper, and none is there: its launch was killed when about to start one."""
    bench.kill_keepers()
    key, steps = new_key(), folder / "steps"
    steps.unlink(missing_ok=True)
    act(bench, "up", key, "H100", TREBUCHET_STEPS=str(steps))
    names = [line.split(" ", 1)[1] for line in steps.read_text().splitlines()]
    clear_away(bench, key)
    bench.kill_keepers()
    key = new_key()
    number = names.index("before start keeper") + 1
    assert act(bench, "up", key, "H100", TREBUCHET_CRASH_AT=str(number)) != 0
    return key


def keep(bench: Bench, key: str, **variables: str) -> None:
    """Let a keeper work until it has the job's sandbox, or is killed."""
    ledger = bench.launcher.contexts.ledger
    command = keeper_command(bench.launcher.contexts.of("local"))
    subprocess.run(command, env=keeper_environment() | variables, cwd="/", check=True, timeout=30)

    def done() -> bool:
        job = ledger.job(key)
        assert job is not None
        return not bench.keepers() or (job.state is JobState.RUNNING and job.current.claim is None)

    wait_until(done)


def crash_keeper(bench: Bench, folder: Path, step: int) -> None:
    key = left_to_the_keeper(bench, folder)
    keep(bench, key, TREBUCHET_CRASH_AT=str(step))
    check_launch(bench, key)
    clear_away(bench, key)


def count_keepers_steps(bench: Bench, folder: Path) -> int:
    key, steps = left_to_the_keeper(bench, folder), folder / "keeper-steps"
    keep(bench, key, TREBUCHET_STEPS=str(steps))
    clear_away(bench, key)
    return len(steps.read_text().splitlines())


ACTIONS = [("up", None), ("up", "H100"), ("cancel", None), ("cancel", "H100"), ("down", None)]


@pytest.mark.parametrize(("action", "gpu"), ACTIONS)
def test_killed_at_some_steps(bench: Bench, tmp_path: Path, action: str, gpu: str | None) -> None:
    steps = count_steps(bench, action, gpu, tmp_path)
    assert steps >= 6
    # A process that waits takes a step more or less, so the last ones may not be reached.
    chosen = random.Random(f"{SEED} {action} {gpu}").sample(range(1, steps + 1), SAMPLE)
    killed = [crash(bench, action, gpu, step) for step in chosen]
    assert any(killed), f"seed {SEED}, steps {chosen} of {steps}"


@pytest.mark.proof
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("action", "gpu"), ACTIONS)
def test_killed_at_every_step(bench: Bench, tmp_path: Path, action: str, gpu: str | None) -> None:
    steps = count_steps(bench, action, gpu, tmp_path)
    for step in range(1, steps + 1):
        crash(bench, action, gpu, step)


def test_a_keeper_killed_at_some_steps(bench: Bench, tmp_path: Path) -> None:
    steps = count_keepers_steps(bench, tmp_path)
    assert steps >= 6
    crash_keeper(bench, tmp_path, random.Random(SEED).randrange(1, steps + 1))


@pytest.mark.proof
@pytest.mark.timeout(1200)
def test_a_keeper_killed_at_every_step(bench: Bench, tmp_path: Path) -> None:
    for step in range(1, count_keepers_steps(bench, tmp_path) + 1):
        crash_keeper(bench, tmp_path, step)


def test_a_launch_killed_while_it_waits_for_a_gpu_is_found_and_its_state_right(bench: Bench) -> None:
    bench.engine.hold_gpus(H100=4)
    key = new_key()
    words = [sys.executable, str(CHILD), "up", key, "H100"]
    child = subprocess.Popen(words, env={**os.environ, "TREBUCHET_HOME": str(bench.home)})
    wait_until(lambda: bench.engine_listed("key", key))
    child.kill()
    child.wait()
    bench.kill_keepers()
    [sandbox_id] = bench.engine_listed("key", key)
    status = bench.another().find(key)
    wait_until(lambda: bench.another().find(key).id == sandbox_id)
    assert status.state is JobState.PENDING
    bench.engine.hold_gpus()
    wait_until(lambda: bench.another().find(key).state is JobState.RUNNING)
    assert bench.engine_listed("key", key) == [sandbox_id]
    clear_away(bench, key)
