"""Killed before or after any step, a launch of many is one sandbox a job, all known to the ledger."""

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
from trebuchet.status import JobStatus

if TYPE_CHECKING:
    from support.bench import Bench

CHILD = Path(__file__).parent.parent / "support" / "child.py"
MANY = 3
SAMPLE = 4
SEED = int(os.environ.get("TREBUCHET_CHAOS_SEED", "20261125"))


def act(bench: Bench, cluster: str, **variables: str) -> bool:
    """Launch many in a process of its own; whether it came to its end."""
    environment = {**os.environ, "TREBUCHET_HOME": str(bench.home), **variables}
    done = subprocess.run(
        [sys.executable, str(CHILD), "up-many", cluster],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode in {0, -signal.SIGKILL}, done.stderr
    return done.returncode == 0


def count_steps(bench: Bench, folder: Path) -> int:
    cluster, steps = f"c-{uuid.uuid4().hex[:8]}", folder / "steps"
    assert act(bench, cluster, TREBUCHET_STEPS=str(steps))
    bench.launcher.down("local", cluster)
    return len(steps.read_text().splitlines())


def crash(bench: Bench, step: int) -> None:
    """Kill it at a step; after one reconcile ledger and engine agree, with one sandbox a job."""
    cluster = f"c-{uuid.uuid4().hex[:8]}"
    whole = act(bench, cluster, TREBUCHET_CRASH_AT=str(step))
    bench.another().reconcile()
    jobs: list[JobStatus] = [job for job in bench.launcher.jobs() if job.cluster == cluster]
    assert len(jobs) <= MANY
    assert len(jobs) == MANY or not whole
    wait_until(lambda: sorted(bench.running(cluster)) == sorted(job.id for job in jobs))
    rows = [bench.launcher.contexts.ledger.job(job.key) for job in jobs]
    assert all(row is not None and row.end_at is None and row.sandbox_id is not None for row in rows)
    if jobs:
        bench.launcher.down("local", cluster)


def test_many_killed_at_some_steps(bench: Bench, tmp_path: Path) -> None:
    steps = count_steps(bench, tmp_path)
    assert steps >= 10
    for step in random.Random(SEED).sample(range(1, steps + 1), SAMPLE):
        crash(bench, step)


@pytest.mark.proof
@pytest.mark.timeout(1200)
def test_many_killed_at_every_step(bench: Bench, tmp_path: Path) -> None:
    for step in range(1, count_steps(bench, tmp_path) + 1):
        crash(bench, step)
