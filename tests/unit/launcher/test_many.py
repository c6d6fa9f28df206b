"""Many launches at once."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from support.clocks import HandClock
from support.engine import wait_until
from trebuchet.errors import LaunchError, TrebuchetError, UsageError
from trebuchet.launcher import Launcher
from trebuchet.launcher.many import Rate
from trebuchet.launcher.pruning import Pruned
from trebuchet.settings import Settings
from trebuchet.status import JobState, JobStatus, Reason

if TYPE_CHECKING:
    from pathlib import Path

    from support.bench import Bench


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
    assert own_bench.launcher.prune(older_than_s=3600) == Pruned(forgotten=0, kept=0)
    assert own_bench.launcher.prune(older_than_s=-1) == Pruned(forgotten=1, kept=0)
    assert [job.key for job in own_bench.launcher.jobs()] == [new.key]
    assert own_bench.launcher.contexts.ledger.resolve(old.id) == []


def test_pruning_keeps_what_has_outputs_unless_these_are_to_go(own_bench: Bench) -> None:
    full, empty = own_bench.up("echo x >/outputs/x"), own_bench.up("mkdir /outputs/none")
    for status in (full, empty):
        own_bench.ended(status)
    assert own_bench.launcher.prune(older_than_s=-1) == Pruned(forgotten=1, kept=1)
    assert [file.path for file in own_bench.launcher.outputs(full.key).list()] == ["x"]
    assert own_bench.launcher.prune(older_than_s=-1, outputs=True) == Pruned(forgotten=1, kept=0)
    left = own_bench.launcher.contexts.of("local").engine.list_files("trebuchet-outputs", "")
    assert [file.path for file in left if file.path.startswith(full.key)] == []


def test_what_was_pruned_is_not_launched_again_under_its_key(own_bench: Bench) -> None:
    key = "nightly-1"
    job = own_bench.job("echo x >/outputs/x")
    own_bench.ended(own_bench.launcher.up(job, key=key)[1])
    own_bench.launcher.prune(older_than_s=-1, outputs=True)
    with pytest.raises(UsageError, match="was launched and has ended"):
        own_bench.launcher.up(job, key=key)
    assert own_bench.running() == []


def _launched(results: list[JobStatus | TrebuchetError]) -> list[JobStatus]:
    assert [result for result in results if isinstance(result, TrebuchetError)] == []
    return [result for result in results if isinstance(result, JobStatus)]


def _one_sandbox_each(bench: Bench, statuses: list[JobStatus]) -> None:
    assert sorted(bench.running()) == sorted(status.id for status in statuses)
    for status in statuses:
        job = bench.launcher.contexts.ledger.job(status.key)
        assert job is not None
        assert (job.sandbox_id, job.current.claim) == (status.id, None)


def test_as_many_permissions_are_taken_together_as_there_are() -> None:
    clock = HandClock()
    rate = Rate(clock, a_second=1, burst=5)
    assert rate.take(3) == 3
    assert rate.take(10) == 2
    assert clock.slept == []
    assert rate.take(10) == 1
    assert round(sum(clock.slept), 6) == 1.0


def test_many_warm_launches_cost_a_call_each(bench: Bench) -> None:
    bench.ended(bench.up("true"))
    bench.engine.clear_calls()
    jobs = [bench.job("sleep 60", envs={"N": str(number)}) for number in range(30)]
    statuses = _launched(bench.launcher.up_many(jobs, bench.cluster))
    calls = bench.engine.calls()
    assert (set(calls) - {"AuthTokenGet"}, calls["SandboxCreateV2"]) == ({"SandboxCreateV2"}, 30)
    assert {status.state for status in statuses} == {JobState.PENDING}
    _one_sandbox_each(bench, statuses)
    kinds = [event.kind for event in bench.launcher.events(statuses[0].key)]
    assert kinds == ["intended", "asked", "created"]
    bench.launcher.stop("local", bench.cluster)


@pytest.mark.parametrize(
    "fault",
    [
        {"call": "SandboxCreateV2", "action": "refuse", "status": "RESOURCE_EXHAUSTED", "times": 3},
        {"call": "SandboxCreateV2", "action": "lose_answer", "times": 3},
        {"call": "SandboxCreateV2", "action": "cut", "times": 3},
    ],
    ids=["refused for a while", "the answer lost", "cut"],
)
def test_what_goes_wrong_for_some_of_many_gives_one_sandbox_each(
    bench: Bench, fault: dict[str, object]
) -> None:
    bench.ended(bench.up("true"))
    bench.engine.set_faults(fault)
    statuses = _launched(bench.launcher.up_many([bench.job("sleep 60")] * 8, bench.cluster))
    bench.engine.set_faults()
    assert len({status.id for status in statuses}) == 8
    _one_sandbox_each(bench, statuses)
    bench.launcher.stop("local", bench.cluster)


def test_many_that_are_refused_for_good_are_failed_launches_and_leave_nothing(bench: Bench) -> None:
    bench.ended(bench.up("true"))
    bench.engine.set_faults({"call": "SandboxCreateV2", "action": "refuse", "status": "FAILED_PRECONDITION"})
    results = bench.launcher.up_many([bench.job("sleep 60")] * 4, bench.cluster)
    bench.engine.set_faults()
    assert [type(result) for result in results] == [LaunchError] * 4
    found = bench.launcher.status("local", bench.cluster)["local"]
    failed = [status for status in found if status.reason is Reason.LAUNCH_FAILED]
    assert (len(failed), bench.running()) == (4, [])


def test_those_that_want_a_gpu_or_keep_values_are_launched_beside_the_others(bench: Bench) -> None:
    jobs = [
        bench.job("sleep 60"),
        bench.job("sleep 60", gpu="H100"),
        bench.job("sleep 60", envs={"A": "b"}, max_restarts=1),
    ]
    statuses = _launched(bench.launcher.up_many(jobs, bench.cluster))
    _one_sandbox_each(bench, statuses)
    bench.launcher.stop("local", bench.cluster)


def test_an_interruption_leaves_nothing_of_those_that_were_not_launched_yet(bench: Bench) -> None:
    bench.ended(bench.up("true"))

    def interrupt(_place: int, result: object) -> None:
        if isinstance(result, JobStatus):
            raise KeyboardInterrupt

    # One of them comes back before the others, since only it is not late.
    bench.engine.set_faults({"call": "SandboxCreateV2", "action": "delay", "seconds": 1, "after": 1})
    with pytest.raises(KeyboardInterrupt):
        bench.launcher.up_many([bench.job("sleep 60")] * 6, bench.cluster, on_done=interrupt)
    [first] = [job for job in bench.launcher.status("local", bench.cluster)["local"] if not job.done]
    assert bench.running() == [first.id]
    bench.launcher.stop("local", bench.cluster)


@pytest.mark.parametrize("when", ["before it is asked for", "while it is asked for", "before any is written"])
def test_an_interruption_leaves_nothing_of_those_that_were_written_and_not_asked_for(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    bench.ended(bench.up("true"))
    launcher = bench.another()
    engine = launcher.contexts.of("local").engine
    begin, asked = engine.begin, list[object]()

    def interrupted(*arguments: object, **options: object) -> object:
        asked.append(arguments)
        if len(asked) < 2:
            return begin(*arguments, **options)
        if when == "while it is asked for":
            begin(*arguments, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(engine, "begin", interrupted, raising=False)
    if when == "before any is written":
        monkeypatch.setattr(launcher.contexts.ledger, "add_asked", interrupted)
        asked.append(None)
    with pytest.raises(KeyboardInterrupt):
        launcher.up_many([bench.job("sleep 60")] * 5, bench.cluster)
    rows = launcher.contexts.ledger.jobs(cluster=bench.cluster)
    mine = [row for row in rows if row.state is not JobState.SUCCEEDED]
    assert {row.state for row in mine} <= {JobState.CANCELLED}
    assert len(mine) == (0 if when == "before any is written" else 5)
    for _ in range(2):  # What was left to whoever comes next would be made now.
        bench.another().status("local", bench.cluster)
    assert bench.running() == []


def test_an_interruption_does_not_wait_for_the_gpus_that_others_wait_for(bench: Bench) -> None:
    bench.ended(bench.up("true"))

    def interrupt(_place: int, result: object) -> None:
        if isinstance(result, JobStatus):
            raise KeyboardInterrupt

    bench.engine.set_faults({"call": "SandboxCreate", "action": "delay", "seconds": 100})
    jobs = [bench.job("sleep 60", gpu="H100"), bench.job("sleep 60", gpu="H100"), bench.job("sleep 60")]
    with pytest.raises(KeyboardInterrupt):
        bench.launcher.up_many(jobs, bench.cluster, on_done=interrupt)
    waiting = bench.launcher.contexts.ledger.jobs(cloud="local", cluster=bench.cluster, unfinished=True)
    waiting = [job for job in waiting if job.current.gpu is not None]
    assert [(job.sandbox_id, job.cancel_at is not None) for job in waiting] == [(None, True)] * 2
    bench.kill_keepers()
    bench.engine.set_faults()
    wait_until(lambda: all(bench.launcher.find(job.key).done for job in waiting))
    [first] = [job for job in bench.launcher.status("local", bench.cluster)["local"] if not job.done]
    assert bench.running() == [first.id]
    bench.launcher.stop("local", bench.cluster)
