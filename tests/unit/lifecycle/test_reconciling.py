"""What becomes of a job is told by evidence alone."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from support.clocks import AheadClock, HandClock
from support.engine import wait_until
from support.rows import SPEC, make_job
from trebuchet.errors import ClusterNotFoundError, JobNotFoundError, LocalEngineError, MachineError
from trebuchet.launcher import Launcher
from trebuchet.settings import Settings
from trebuchet.status import JobState, JobStatus, Phase, Reason

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.bench import Bench
    from trebuchet.engines.base import Observation
    from trebuchet.ledger import Job


@pytest.mark.parametrize(
    ("run", "setup", "state", "reason", "code", "phase"),
    [
        ("true", None, JobState.SUCCEEDED, Reason.EXIT, 0, Phase.DONE),
        ("exit 3", None, JobState.FAILED, Reason.EXIT, 3, Phase.RUN),
        ("exit 124", None, JobState.FAILED, Reason.EXIT, 124, Phase.RUN),
        ("exit 137", None, JobState.FAILED, Reason.EXIT, 137, Phase.RUN),
        ("true", "exit 5", JobState.FAILED, Reason.SETUP_FAILED, 5, Phase.SETUP),
        ("exit 6", "true", JobState.FAILED, Reason.EXIT, 6, Phase.RUN),
    ],
)
def test_a_job_ends_as_its_scripts_did(
    bench: Bench, run: str, setup: str | None, state: JobState, reason: Reason, code: int, phase: Phase
) -> None:
    done = bench.ended(bench.up(run, setup=setup))
    assert (done.state, done.reason, done.exit_code, done.phase) == (state, reason, code, phase)
    assert done.submit_time is not None
    assert done.end_at is not None
    assert done.start_at is not None


def test_a_job_that_ran_out_of_time_says_so(bench: Bench) -> None:
    done = bench.ended(bench.up("sleep 60", timeout=1))
    assert (done.state, done.reason) == (JobState.FAILED, Reason.TIMEOUT)


def test_a_job_that_ran_out_of_time_ended_then_and_not_when_somebody_looked(bench: Bench) -> None:
    status = bench.up("sleep 60", timeout=1)
    wait_until(lambda: status.id not in bench.running())
    an_hour_later = Launcher(bench.launcher.settings, clock=AheadClock(ahead=3_600.0))
    done = an_hour_later.find(status.key)
    assert done.reason is Reason.TIMEOUT
    assert done.start_at is not None
    assert done.end_at == pytest.approx(done.start_at + 1)


def test_a_cancelled_job_stays_cancelled_and_tells_by_whom(bench: Bench) -> None:
    status = bench.up("sleep 60")
    done = bench.launcher.cancel(status.id)
    assert (done.state, done.reason) == (JobState.CANCELLED, Reason.CANCELLED)
    assert "@" in json.loads(done.metadata)["cancelled_by"]
    assert bench.another().find(status.key).state is JobState.CANCELLED


def test_cancelling_what_has_ended_changes_nothing(bench: Bench) -> None:
    status = bench.ended(bench.up("exit 3"))
    assert bench.launcher.cancel(status.id) == status


def test_a_sandbox_ended_by_another_client_reads_cancelled(bench: Bench) -> None:
    status = bench.up("sleep 60")
    bench.client.get_call(status.id).terminate()
    assert bench.ended(status).state is JobState.CANCELLED


def test_a_wish_to_cancel_is_carried_out_by_whoever_comes_next(bench: Bench) -> None:
    status = bench.up("sleep 60")
    bench.engine.set_faults({"call": "Sandbox*", "action": "refuse"})
    with pytest.raises(Exception, match=r".+"):
        bench.launcher.cancel(status.key)
    bench.engine.set_faults()
    wait_until(lambda: bench.another().find(status.key).state is JobState.CANCELLED)
    assert bench.running() == []


def test_a_control_plane_that_does_not_answer_leaves_the_last_known_state(bench: Bench) -> None:
    status = bench.up("sleep 60")
    assert bench.launcher.find(status.key).state is JobState.RUNNING
    bench.engine.set_faults({"call": "Sandbox*", "action": "refuse"})
    [stale] = bench.launcher.status("local", bench.cluster)["local"]
    bench.engine.set_faults()
    assert stale.state is JobState.RUNNING
    told = json.loads(stale.metadata)
    assert told["stale_why"]
    assert told["stale_s"] >= 0
    bench.launcher.cancel(status.key)


def test_a_machine_that_cannot_ask_leaves_the_last_known_state(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = bench.up("exit 3"), bench.up("exit 4")
    wait_until(lambda: bench.running() == [])
    engine = bench.launcher.contexts.of("local").engine
    look = engine.poll

    def refuse(sandbox_id: str) -> Observation:
        if sandbox_id == one.id:
            raise MachineError("Too many open files.")
        return look(sandbox_id)

    with monkeypatch.context() as patch:
        patch.setattr(engine, "poll", refuse)
        seen = {job.key: job for job in bench.launcher.status("local", bench.cluster)["local"]}
    told = {key: json.loads(job.metadata).get("stale_why") for key, job in seen.items()}
    assert told == {one.key: "Too many open files.", other.key: None}
    assert seen[one.key].state is not JobState.FAILED
    assert (seen[other.key].state, seen[other.key].exit_code) == (JobState.FAILED, 4)
    assert bench.ended(one).exit_code == 3


def _unknown_to_the_control_plane(bench: Bench, launcher: Launcher, **fields: object) -> Job:
    identity = launcher.contexts.of("local").engine.identity()
    key = f"lost-{bench.cluster}"
    job = make_job(
        key,
        cluster=bench.cluster,
        sandbox_id=f"sb-{key}",
        control_plane=identity.control_plane,
        workspace=identity.workspace,
        served_from=identity.environment,
        environment=launcher.settings.environment,
        **fields,
    )
    assert launcher.contexts.ledger.add(job, {}, (SPEC,))
    return job


def test_a_job_is_lost_only_after_two_answers_apart_in_time(bench: Bench) -> None:
    clock = HandClock()
    launcher = Launcher(bench.launcher.settings, clock=clock)
    job = _unknown_to_the_control_plane(bench, launcher)
    assert not launcher.find(job.key).done
    clock.time += 30
    assert not launcher.find(job.key).done
    clock.time += 31
    lost = launcher.find(job.key)
    assert (lost.state, lost.reason) == (JobState.FAILED, Reason.LOST)


def test_what_another_account_cannot_see_is_no_evidence(bench: Bench) -> None:
    clock = HandClock()
    launcher = Launcher(bench.launcher.settings, clock=clock)
    job = _unknown_to_the_control_plane(bench, launcher)
    other = replace(job, key=f"o-{bench.cluster}", workspace="somebody-else")
    other = replace(other, current=replace(other.current, key=other.key, sandbox_id="sb-other-one"))
    launcher.contexts.ledger.add(other, {}, (SPEC,))
    for _ in range(3):
        clock.time += 100
        status = launcher.find(other.key)
    assert not status.done
    assert "another account" in json.loads(status.metadata)["stale_why"]
    launcher.contexts.ledger.want_cancel(job.key, by="test", at=1)


def test_looking_at_running_jobs_costs_one_list(bench: Bench) -> None:
    for _ in range(3):
        bench.up("sleep 60")
    bench.launcher.status("local", bench.cluster)
    bench.engine.clear_calls()
    statuses = bench.launcher.status("local", bench.cluster)["local"]
    assert [status.state for status in statuses] == [JobState.RUNNING] * 3
    calls = {name: count for name, count in bench.engine.calls().items() if name.startswith("Sandbox")}
    assert set(calls) <= {"SandboxList", "SandboxListV2"}
    bench.launcher.down("local", bench.cluster)


def test_the_first_look_at_new_jobs_costs_one_list_too(bench: Bench) -> None:
    for _ in range(3):
        bench.up("sleep 60")
    bench.engine.clear_calls()
    bench.launcher.status("local", bench.cluster)
    assert {name for name in bench.engine.calls() if name.startswith("Sandbox")} <= {
        "SandboxList",
        "SandboxListV2",
    }
    bench.launcher.down("local", bench.cluster)


def test_status_with_nothing_unfinished_asks_nothing_and_loads_no_sdk(own_bench: Bench) -> None:
    own_bench.ended(own_bench.up("true"))
    own_bench.engine.clear_calls()
    program = (
        "import sys; from trebuchet import Launcher; "
        "print([job.state.value for job in Launcher().status()['local']]); "
        "print([name for name in ('modal', 'yaml', 'rich', 'grpclib') if name in sys.modules])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program],
        env={"PATH": "/usr/bin:/bin", "TREBUCHET_HOME": str(own_bench.home)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.splitlines() == ["['SUCCEEDED']", "[]"]
    assert own_bench.engine.calls() == {}


def test_a_cluster_that_never_was_is_not_found(bench: Bench) -> None:
    for ask in (bench.launcher.stop, bench.launcher.down, bench.launcher.status):
        with pytest.raises(ClusterNotFoundError):
            ask("local", "never-was")
    with pytest.raises(ClusterNotFoundError):
        bench.launcher.run(bench.job("true"), "never-was")
    assert bench.launcher.get_cloud("local").get_cluster("never-was") is None


@pytest.mark.parametrize("ref", ["never-was", "sb-never-was", "sb-0123456789abcdefghijkl", ""])
def test_a_job_that_never_was_is_not_found(bench: Bench, ref: str) -> None:
    with pytest.raises(JobNotFoundError):
        bench.launcher.find(ref)
    with pytest.raises(JobNotFoundError):
        bench.client.get_status(ref)


def test_another_machine_finds_running_jobs_by_their_tags(bench: Bench, tmp_path: Path) -> None:
    status = bench.up("sleep 60", name="train")
    (tmp_path / "local").symlink_to(bench.home / "local")
    elsewhere = Launcher(Settings(home=tmp_path))
    [found] = elsewhere.status("local", bench.cluster)["local"]
    assert (found.id, found.key, found.name, found.cluster) == (status.id, status.key, "train", bench.cluster)
    assert elsewhere.cancel(status.id).state is JobState.CANCELLED
    assert bench.ended(status).state is JobState.CANCELLED


def test_another_machine_finds_a_running_job_by_its_id(bench: Bench, tmp_path: Path) -> None:
    status = bench.up("sleep 60", name="train")
    (tmp_path / "local").symlink_to(bench.home / "local")
    found = Launcher(Settings(home=tmp_path)).client("local").get_status(status.id)
    assert (found.name, found.cluster, found.state) == ("train", bench.cluster, JobState.RUNNING)
    bench.launcher.cancel(status.key)


def test_down_ends_what_another_ledger_launched_in_the_cluster(bench: Bench, tmp_path: Path) -> None:
    mine = bench.up("sleep 60")
    (tmp_path / "local").symlink_to(bench.home / "local")
    elsewhere = Launcher(Settings(home=tmp_path))
    elsewhere.up(bench.job("sleep 60"), bench.cluster)
    assert len(bench.running()) == 2
    bench.launcher.down("local", bench.cluster)
    assert bench.running() == []
    assert bench.launcher.find(mine.key).state is JobState.CANCELLED


def test_waiting_ends_with_the_first_or_the_last(bench: Bench) -> None:
    quick, slow = bench.up("true"), bench.up("sleep 60")
    seen: list[tuple[str, JobState]] = []
    first = bench.launcher.wait(
        [slow.key, quick.key], any_one=True, on_change=lambda status: seen.append((status.key, status.state))
    )
    assert [status.done for status in first] == [False, True]
    assert (quick.key, JobState.SUCCEEDED) in seen
    bench.launcher.cancel(slow.key)
    assert all(status.done for status in bench.launcher.wait([slow.key, quick.key]))


def test_waiting_gives_up_when_time_is_up(bench: Bench) -> None:
    slow = bench.up("sleep 60")
    assert [status.done for status in bench.launcher.wait([slow.key], timeout=0.2)] == [False]
    bench.launcher.cancel(slow.key)


def _counted(bench: Bench, act: Callable[[], object]) -> dict[str, int]:
    """The calls about sandboxes that something costs."""
    bench.engine.clear_calls()
    act()
    return {name: count for name, count in bench.engine.calls().items() if name.startswith("Sandbox")}


def test_status_costs_the_pages_of_a_list_and_a_look_up_for_each_job_newly_gone(bench: Bench) -> None:
    jobs = [bench.job("sleep 600")] * 4
    statuses = [one for one in bench.launcher.up_many(jobs, bench.cluster) if isinstance(one, JobStatus)]
    calm = _counted(bench, lambda: bench.launcher.status("local", bench.cluster))
    assert set(calm) <= {"SandboxList", "SandboxListV2"}
    for status in statuses[:2]:
        handle = bench.client.get_call(status.id)
        handle.terminate()
        handle.wait(raise_on_termination=False)
    after = _counted(bench, lambda: bench.launcher.status("local", bench.cluster))
    assert {name: after[name] for name in calm} == calm
    assert set(after) - set(calm) == {"SandboxWaitV2"}
    assert after["SandboxWaitV2"] == 2
    again = _counted(bench, lambda: bench.launcher.status("local", bench.cluster))
    assert again == calm
    bench.launcher.down("local", bench.cluster)


def test_a_job_that_exited_is_looked_up_once_for_its_end_and_its_last_words(bench: Bench) -> None:
    status = bench.up("exit 3")
    handle = bench.client.get_call(status.id)
    handle.wait(raise_on_termination=False)
    after = _counted(bench, lambda: bench.launcher.status("local", bench.cluster))
    assert after["SandboxWaitV2"] == 1
    assert bench.launcher.find(status.key, cached=True).exit_code == 3


def test_reconciling_with_nothing_to_do_costs_one_list(own_bench: Bench) -> None:
    for _ in range(3):
        own_bench.up("sleep 600")
    own_bench.launcher.reconcile()
    own_bench.launcher.reconcile()
    calls = _counted(own_bench, own_bench.launcher.reconcile)
    one_list = _counted(own_bench, lambda: own_bench.engine_listed("cluster", own_bench.cluster))
    assert calls == one_list
    own_bench.launcher.down("local", own_bench.cluster)


def test_a_job_that_this_machine_cannot_look_up_loses_nothing_of_the_others(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher = bench.another()
    jobs = [bench.up("true") for _ in range(3)]
    wait_until(lambda: bench.running() == [])
    engine = launcher.contexts.of("local").engine
    poll = engine.poll

    def failing(sandbox_id: str) -> object:
        if sandbox_id == jobs[1].id:
            raise LocalEngineError("The local engine does not start.")
        return poll(sandbox_id)

    monkeypatch.setattr(type(engine), "poll", staticmethod(failing), raising=False)
    found = {job.key: job for job in launcher.status("local", bench.cluster)["local"]}
    assert [found[job.key].done for job in jobs] == [True, False, True]
    told = [json.loads(found[job.key].metadata).get("stale_why") for job in jobs]
    assert told == [None, "The local engine does not start.", None]
