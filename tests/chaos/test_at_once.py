"""Two processes of sixteen threads each, doing everything at once on one ledger."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from trebuchet.status import JobState

if TYPE_CHECKING:
    from support.bench import Bench

CROWD = Path(__file__).parent.parent / "support" / "crowd.py"
SEED = os.environ.get("TREBUCHET_CHAOS_SEED", "20261124")


def crowd(bench: Bench, operations: int) -> None:
    cluster = f"a{uuid.uuid4().hex[:8]}"
    environment = {**os.environ, "TREBUCHET_HOME": str(bench.home)}
    processes = [
        subprocess.Popen(
            [sys.executable, str(CROWD), cluster, f"{SEED} {number}", str(operations)],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for number in range(2)
    ]  # fmt: skip
    for process in processes:
        said, wrong = process.communicate(timeout=600)
        assert (said, process.returncode) == ("", 0), wrong
    launcher = bench.another()
    launcher.reconcile()
    known = launcher.status("local", cluster)["local"]
    assert {one.state for one in known} <= {JobState.RUNNING, JobState.CANCELLED}
    assert {one.id for one in known if not one.done} == set(bench.running(cluster))
    for one in known:
        kinds = [event.kind for event in launcher.events(one.key)]
        assert kinds.count("intended") == 1
        assert kinds.count("created") <= 1
        assert kinds.count("ended") == int(one.done)
    launcher.down("local", cluster)
    launcher.close()


def test_two_processes_and_sixteen_threads_do_everything(bench: Bench) -> None:
    crowd(bench, 3)


@pytest.mark.proof
@pytest.mark.timeout(1200)
def test_two_processes_and_sixteen_threads_do_everything_for_long(bench: Bench) -> None:
    crowd(bench, 60)
