"""Many launches at once."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from trebuchet.errors import TrebuchetError
from trebuchet.launcher import Launcher
from trebuchet.launcher.many import Rate
from trebuchet.settings import Settings
from trebuchet.status import JobState, JobStatus

if TYPE_CHECKING:
    from pathlib import Path

    from support.bench import Bench


class HandClock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds


def test_a_burst_goes_at_once_and_the_rest_five_a_second() -> None:
    clock = HandClock()
    rate = Rate(clock)
    for _ in range(150):
        rate.wait()
    assert clock.slept == []
    for _ in range(10):
        rate.wait()
    assert round(sum(clock.slept), 6) == 2.0


def test_what_was_not_used_counts_no_further_than_a_burst() -> None:
    clock = HandClock()
    rate = Rate(clock, a_second=1, burst=2)
    clock.time += 1000
    for _ in range(4):
        rate.wait()
    assert round(sum(clock.slept), 6) == 2.0


def test_many_are_launched_and_one_that_fails_does_not_lose_the_others(bench: Bench) -> None:
    jobs = [bench.job("true", name=f"job-{number}") for number in range(12)]
    jobs[5] = bench.job("  ", name="empty")
    told: dict[int, object] = {}
    lock = threading.Lock()

    def tell(place: int, result: object) -> None:
        with lock:
            told[place] = result

    results = bench.launcher.up_many(jobs, bench.cluster, on_done=tell)
    assert [isinstance(result, JobStatus) for result in results] == [place != 5 for place in range(12)]
    assert isinstance(results[5], TrebuchetError)
    assert told == dict(enumerate(results))
    statuses = [result for result in results if isinstance(result, JobStatus)]
    assert [status.name for status in statuses] == [f"job-{number}" for number in range(12) if number != 5]
    done = bench.launcher.wait([status.key for status in statuses], timeout=60)
    assert {status.state for status in done} == {JobState.SUCCEEDED}
    assert bench.launcher.up_many([]) == []


def test_running_jobs_of_the_app_can_be_adopted(bench: Bench, tmp_path: Path) -> None:
    status = bench.up("sleep 60", name="train")
    (tmp_path / "local").symlink_to(bench.home / "local")
    elsewhere = Launcher(Settings(home=tmp_path))
    assert status.key in {job.key for job in elsewhere.adopt("local")}
    assert elsewhere.adopt("local") == []
    assert elsewhere.find(status.key).state is JobState.RUNNING
    bench.launcher.cancel(status.key)


def test_pruning_forgets_what_ended_long_ago_and_nothing_that_runs(own_bench: Bench) -> None:
    old, new = own_bench.up("true"), own_bench.up("sleep 60")
    own_bench.ended(old)
    assert own_bench.launcher.prune(older_than_s=3600) == 0
    assert own_bench.launcher.prune(older_than_s=-1) == 1
    assert [job.key for job in own_bench.launcher.jobs()] == [new.key]
    assert own_bench.launcher.contexts.ledger.resolve(old.id) == []
