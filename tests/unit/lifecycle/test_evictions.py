"""A job whose sandbox was taken away through no fault of its own."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from typing import TYPE_CHECKING

from support.engine import wait_until
from support.sandboxes import supervisor_of
from trebuchet.launcher import Launcher
from trebuchet.status import JobState, Reason

if TYPE_CHECKING:
    from support.bench import Bench

SCRIPT = 'echo "attempt $TREBUCHET_ATTEMPT resume ${TREBUCHET_RESUME:-no}"; '


def take_away(bench: Bench, sandbox_id: str) -> None:
    """End a sandbox as the failure of its machine does."""
    folder = bench.home / "local" / "sandboxes" / sandbox_id / "process"
    wait_until(lambda: [*bench.launcher.logs(sandbox_id)])  # Its script has begun.
    os.kill(supervisor_of(folder), signal.SIGKILL)


def test_it_is_told_from_a_failure_of_its_own(bench: Bench) -> None:
    status = bench.up(SCRIPT + "sleep 60")
    take_away(bench, status.id)
    done = bench.ended(status)
    assert (done.state, done.reason) == (JobState.FAILED, Reason.EVICTED)


def test_one_that_shall_be_is_started_again_and_told_that_it_goes_on(bench: Bench) -> None:
    launcher = Launcher(replace(bench.launcher.settings, keeper=False, restart_pause_s=0.0))
    job = bench.job(
        SCRIPT + "[ $TREBUCHET_ATTEMPT = 2 ] || sleep 60; exit 3", max_restarts=5, restart_on=["preempted"]
    )
    status = launcher.up(job, bench.cluster)[1]
    take_away(bench, status.id)
    done = launcher.wait([status.key], timeout=60)[0]
    # Its own failure is no eviction, so it ends with the second attempt.
    assert (done.state, done.reason, done.exit_code, done.attempt) == (JobState.FAILED, Reason.EXIT, 3, 2)
    said = [entry.message for entry in launcher.logs(status.key, source="stdout")]
    assert said == ["attempt 1 resume no\n", "attempt 2 resume 1\n"]
    assert bench.running() == []
    launcher.close()


def test_a_sandbox_that_nobody_used_is_idle(bench: Bench) -> None:
    tags = {"trebuchet-key": f"idle-{bench.cluster}", "trebuchet-attempt": "1"}
    sandbox = bench.engine.create("sleep", "60", idle_timeout=1, tags=tags)
    status = bench.launcher.find(sandbox.object_id)
    done = bench.ended(status)
    assert (done.state, done.reason) == (JobState.FAILED, Reason.IDLE)
