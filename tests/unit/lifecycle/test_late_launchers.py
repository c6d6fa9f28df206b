"""A launcher that stands still between two steps, while others go on: it ends no job that they made run, and
what it makes does not outlive a job that they ended."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from support.clocks import AheadClock
from support.engine import wait_until
from trebuchet.errors import ClusterUnreachableError, LaunchError
from trebuchet.launcher import Launcher
from trebuchet.ledger import Ledger, Outcome
from trebuchet.status import JobState, JobStatus, Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.bench import Bench

ENDED = Outcome(state=JobState.FAILED, reason=Reason.LAUNCH_FAILED)


class Interrupted:
    """A launcher that lets others act before one of its writes, the first of that name.

    Args:
        bench: Where.
    """

    def __init__(self, bench: Bench) -> None:
        self.launcher = Launcher(bench.launcher.settings, clock=AheadClock())
        self._before: tuple[str, Callable[[], object]] | None = None
        self.launcher.contexts.ledger = Ledger(bench.home / "ledger.sqlite3", on_step=self._step)

    def before(self, step: str, act: Callable[[], object]) -> None:
        self._before = (step, act)

    def _step(self, name: str) -> None:
        if self._before is not None and name == f"before {self._before[0]}":
            (_, act), self._before = self._before, None
            act()


@pytest.fixture
def late(bench: Bench) -> Iterator[Interrupted]:
    late = Interrupted(bench)
    yield late
    late.launcher.close()


def _unreachable(bench: Bench) -> None:
    bench.engine.set_faults({"call": "SandboxCreate*", "action": "refuse", "status": "UNAVAILABLE"})


def test_one_of_many_launches_keeps_its_claim_until_it_has_given_up(bench: Bench, late: Interrupted) -> None:
    made: list[str] = []

    def others_look() -> None:
        bench.engine.set_faults()
        other = bench.another()
        other.status("local", bench.cluster)
        made.extend(bench.running())
        other.close()

    _unreachable(bench)
    late.before("want cancel", others_look)
    [answer] = late.launcher.up_many([bench.job("sleep 60")], bench.cluster)
    assert isinstance(answer, ClusterUnreachableError)
    assert made == []
    [status] = bench.launcher.status("local", bench.cluster)["local"]
    assert (status.state, status.reason) == (JobState.FAILED, Reason.LAUNCH_FAILED)


def test_a_single_launch_keeps_its_claim_until_it_has_given_up(bench: Bench, late: Interrupted) -> None:
    made: list[str] = []

    def others_look() -> None:
        bench.engine.set_faults()
        bench.another().find(f"k-{bench.cluster}")
        made.extend(bench.running())

    _unreachable(bench)
    late.before("want cancel", others_look)
    with pytest.raises(ClusterUnreachableError):
        late.launcher.up(bench.job("sleep 60"), bench.cluster, key=f"k-{bench.cluster}")
    assert made == []
    [status] = bench.launcher.status("local", bench.cluster)["local"]
    assert (status.state, status.reason) == (JobState.FAILED, Reason.LAUNCH_FAILED)


def test_a_sandbox_does_not_outlive_a_job_that_ended_while_it_was_created(
    bench: Bench, late: Interrupted
) -> None:
    def others_end_it() -> None:
        ledger = bench.launcher.contexts.ledger
        [job] = ledger.jobs(cluster=bench.cluster)
        assert ledger.ended(job.current, ENDED, at=time.time())

    late.before("created", others_end_it)
    status = late.launcher.up(bench.job("sleep 60"), bench.cluster)[1]
    assert status.done
    wait_until(lambda: bench.running() == [])


def test_many_sandboxes_do_not_outlive_jobs_that_ended_while_they_were_created(
    bench: Bench, late: Interrupted
) -> None:
    def others_end_them() -> None:
        ledger = bench.launcher.contexts.ledger
        for job in ledger.jobs(cluster=bench.cluster):
            ledger.ended(job.current, ENDED, at=time.time())

    late.before("created all", others_end_them)
    answers = late.launcher.up_many([bench.job("sleep 60")] * 3, bench.cluster)
    assert all(isinstance(answer, JobStatus) and answer.done for answer in answers)
    wait_until(lambda: bench.running() == [])


def test_a_sandbox_does_not_outlive_a_job_that_was_forgotten_while_it_was_created(
    bench: Bench, late: Interrupted
) -> None:
    def others_forget_it() -> None:
        with closing(sqlite3.connect(bench.home / "ledger.sqlite3", isolation_level=None)) as connection:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("DELETE FROM jobs WHERE cluster = ?", (bench.cluster,))

    late.before("created", others_forget_it)
    with pytest.raises(LaunchError):
        late.launcher.up(bench.job("sleep 60"), bench.cluster)
    wait_until(lambda: bench.running() == [])


def test_a_launcher_that_fails_late_leaves_what_the_keeper_has_launched(
    bench: Bench, late: Interrupted
) -> None:
    """Its look at the queue fails, and when it has found that out the job runs."""

    def the_keeper_succeeds() -> None:
        wait_until(lambda: _only_job(bench).state is JobState.RUNNING)

    def no_answer(_status: JobStatus) -> None:
        raise ClusterUnreachableError("There was no answer.")

    bench.engine.set_faults({"call": "SandboxCreate*", "action": "delay", "seconds": 3.0, "times": 1})
    late.before("want cancel", the_keeper_succeeds)
    launched = late.launcher.up(bench.job("sleep 60", gpu="H100"), bench.cluster, on_waiting=no_answer)[1]
    assert _only_job(bench).id == launched.id
    assert _only_job(bench).state is JobState.RUNNING
    bench.launcher.down("local", bench.cluster)


def _only_job(bench: Bench) -> JobStatus:
    [status] = bench.launcher.status("local", bench.cluster)["local"]
    return status
