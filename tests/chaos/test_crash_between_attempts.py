"""Killed at any step between two attempts of a job, there is one sandbox of its second attempt, or none yet.

Both ways to a second attempt: a restart after a failure, and the next link of a chain.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import uuid
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.engine import wait_until
from trebuchet.launcher import Launcher
from trebuchet.status import JobState

if TYPE_CHECKING:
    from support.bench import Bench

CHILD = Path(__file__).parent.parent / "support" / "child.py"
SEED = int(os.environ.get("TREBUCHET_CHAOS_SEED", "20261124"))
KINDS = ["up-restarted", "up-chained"]
ALONE = {"TREBUCHET_KEEPER": "0", "TREBUCHET_RESTART_PAUSE_S": "0"}


def act(bench: Bench, action: str, key: str, **variables: str) -> int:
    """Run the action in a process of its own; its exit status."""
    environment = {**os.environ, "TREBUCHET_HOME": str(bench.home), **ALONE, **variables}
    words = [sys.executable, str(CHILD), action, key]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode in {0, -signal.SIGKILL}, done.stderr
    return done.returncode


def after_its_first_attempt(bench: Bench, kind: str) -> str:
    """The key of a job whose first sandbox has ended, which nobody has seen yet."""
    bench.kill_keepers()  # One that another test left would do what the killed process leaves undone.
    key = f"x{uuid.uuid4().hex[:10]}"
    act(bench, kind, key, TREBUCHET_LONGEST_SANDBOX_S="4")
    wait_until(lambda: bench.engine_listed("key", key) == [])
    return key


def crash(bench: Bench, kind: str, step: int) -> bool:
    """Kill a reconcile at a step and check what the next ones make of it; whether it had that many."""
    key = after_its_first_attempt(bench, kind)
    killed = act(bench, "reconcile", key, TREBUCHET_CRASH_AT=str(step)) != 0
    launcher = Launcher(replace(bench.launcher.settings, keeper=False, restart_pause_s=0.0))
    launcher.reconcile()
    launcher.reconcile()
    job = launcher.job(key)
    assert (job.current.number, job.state, job.sandbox_id is not None) == (2, JobState.RUNNING, True)
    assert bench.engine_listed("key", key) == [job.sandbox_id]
    created = [event for event in launcher.events(key) if event.kind == "created"]
    assert [event.detail["attempt"] for event in created] == [1, 2]
    launcher.cancel(key)
    assert bench.engine_listed("key", key) == []
    assert launcher.job(key).secret is None
    launcher.close()
    return killed


def count_steps(bench: Bench, kind: str, folder: Path) -> int:
    key, steps = after_its_first_attempt(bench, kind), folder / "steps"
    act(bench, "reconcile", key, TREBUCHET_STEPS=str(steps))
    bench.launcher.cancel(key)
    return len(steps.read_text().splitlines())


@pytest.mark.parametrize("kind", KINDS)
def test_killed_at_some_step(bench: Bench, tmp_path: Path, kind: str) -> None:
    steps = count_steps(bench, kind, tmp_path)
    assert steps >= 12
    assert crash(bench, kind, random.Random(f"{SEED} {kind}").randrange(1, steps)), f"seed {SEED}"


@pytest.mark.proof
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("kind", KINDS)
def test_killed_at_every_step(bench: Bench, tmp_path: Path, kind: str) -> None:
    for step in range(1, count_steps(bench, kind, tmp_path) + 1):
        crash(bench, kind, step)
