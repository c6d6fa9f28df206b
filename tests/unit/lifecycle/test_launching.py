"""A launch: one sandbox, found again whatever happens to whoever asked for it."""

from __future__ import annotations

import json
import socket
import time
from typing import TYPE_CHECKING

import pytest

from support.clocks import AheadClock
from support.engine import wait_until
from trebuchet.emulator.daemon import Endpoint
from trebuchet.errors import ClusterUnreachableError, ControlPlaneError, TrebuchetError, UsageError
from trebuchet.job import JobConfig, StorageMount
from trebuchet.launcher import Launcher
from trebuchet.settings import Settings
from trebuchet.status import JobState, Reason

if TYPE_CHECKING:
    from pathlib import Path

    from support.bench import Bench


def test_a_launched_job_is_pending_and_has_its_sandboxs_id(bench: Bench) -> None:
    status = bench.up("sleep 60", name="train it")
    assert (status.state, status.cluster, status.name) == (JobState.PENDING, bench.cluster, "train it")
    assert bench.running() == [status.id]
    tags = bench.client.get_call(status.id).get_tags()
    owner, until = tags.pop("trebuchet-owner"), int(tags.pop("trebuchet-until"))
    assert owner == f"{bench.launcher.contexts.ledger.id}.{socket.gethostname()}"
    assert until > time.time()
    assert tags == {
        "trebuchet-key": status.key,
        "trebuchet-name": "train-it.6575b9a3fa9e391b",
        "trebuchet-attempt": "1",
        "trebuchet-launch": f"{status.key}.1",
        "trebuchet-cluster": bench.cluster,
    }
    bench.launcher.cancel(status.id)


def test_without_a_label_the_cluster_is_the_id(bench: Bench) -> None:
    status = bench.client.launch(bench.job("true"))
    assert status.cluster == status.id
    assert [job.id for job in bench.launcher.status("local", status.id)["local"]] == [status.id]


def test_a_warm_launch_costs_one_call(bench: Bench) -> None:
    bench.ended(bench.up("true"))
    bench.engine.clear_calls()
    bench.up("true")
    # The SDK's session is no part of a launch.
    assert set(bench.engine.calls()) - {"AuthTokenGet"} == {"SandboxCreateV2"}


def test_a_warm_launch_with_a_gpu_costs_the_secret_the_creation_and_a_look(bench: Bench) -> None:
    bench.ended(bench.up("true", gpu="H100", envs={"A": "b"}))
    bench.engine.clear_calls()
    bench.up("sleep 60", gpu="H100", envs={"A": "b"})
    wait_until(lambda: "SandboxGetTaskId" in bench.engine.calls())
    calls = bench.engine.calls()
    assert set(calls) <= {
        "SecretGetOrCreate",
        "SandboxCreate",
        "SandboxList",
        "SandboxListV2",
        "SandboxGetTaskId",
    }
    assert calls["SandboxCreate"] == 1
    bench.launcher.stop("local", bench.cluster)


def test_a_key_launches_once(bench: Bench) -> None:
    key = f"k-{bench.cluster}"
    first = bench.up("true", key=key)
    assert first.key == key
    bench.ended(first)
    again = bench.up("true", key=key)
    assert again.id == first.id
    assert again.done


def test_a_key_launches_once_across_ledgers_while_the_job_is_unfinished(bench: Bench, tmp_path: Path) -> None:
    key = f"k-{bench.cluster}"
    first = bench.up("sleep 60", key=key)
    elsewhere = _another_ledger(bench, tmp_path)
    again = elsewhere.up(bench.job("sleep 60"), bench.cluster, key=key)[1]
    assert (again.id, again.key, again.cluster) == (first.id, key, bench.cluster)
    assert bench.running() == [first.id]
    bench.launcher.cancel(key)


def _another_ledger(bench: Bench, folder: Path) -> Launcher:
    (folder / "local").symlink_to(bench.home / "local")
    return Launcher(Settings(home=folder))


@pytest.mark.parametrize("key", ["", "a b", "x" * 31, "ä"])
def test_a_key_that_cannot_be_one_is_refused(bench: Bench, key: str) -> None:
    with pytest.raises(UsageError):
        bench.up("true", key=key)


@pytest.mark.parametrize("cluster", ["", " ", "a\nb"])
def test_a_cluster_that_cannot_be_one_is_refused(bench: Bench, cluster: str) -> None:
    with pytest.raises(UsageError):
        bench.launcher.up(bench.job("true"), cluster)


@pytest.mark.parametrize("cluster", ["with space ü", "x" * 200])
def test_a_cluster_may_have_any_name(bench: Bench, cluster: str) -> None:
    status = bench.launcher.up(bench.job("sleep 60"), cluster)[1]
    assert bench.client.find_sandboxes_for_cluster(cluster) == [status.id]
    assert bench.launcher.status("local", cluster)["local"][0].cluster == cluster
    bench.launcher.down("local", cluster)


def test_an_unknown_keyword_is_a_type_error(bench: Bench) -> None:
    with pytest.raises(TypeError):
        bench.client.launch(bench.job("true"), bench.cluster, colour="red")  # pyright: ignore


def test_a_timeout_beats_the_job_files(bench: Bench) -> None:
    status = bench.client.launch(bench.job("sleep 60", timeout=600), bench.cluster, timeout=1)
    done = bench.ended(status)
    assert (done.state, done.reason) == (JobState.FAILED, Reason.TIMEOUT)


@pytest.mark.parametrize("times", [1, 5])
def test_a_lost_answer_makes_no_second_sandbox(bench: Bench, times: int) -> None:
    bench.engine.set_faults({"call": "SandboxCreateV2", "action": "lose_answer", "times": times})
    status = bench.up("sleep 60")
    assert bench.running() == [status.id]
    bench.launcher.cancel(status.id)


def test_a_lost_answer_to_a_job_that_has_ended_meanwhile_makes_no_second_one(bench: Bench) -> None:
    bench.engine.set_faults({"call": "SandboxCreateV2", "action": "lose_answer", "times": 5})
    status = bench.up("true")
    assert bench.ended(status).state is JobState.SUCCEEDED
    created = [event for event in bench.launcher.events(status.key) if event.kind == "created"]
    assert len(created) == 1


def test_a_refused_launch_leaves_nothing_and_says_so(bench: Bench) -> None:
    bench.engine.set_faults({"call": "SandboxCreateV2", "action": "refuse", "status": "FAILED_PRECONDITION"})
    with pytest.raises(TrebuchetError):
        bench.up("true")
    assert bench.running() == []
    [status] = bench.launcher.status("local", bench.cluster)["local"]
    assert (status.state, status.reason) == (JobState.FAILED, Reason.LAUNCH_FAILED)
    assert "message" in json.loads(status.metadata)


def test_a_failed_launch_whose_outcome_is_unknown_is_ended_later(bench: Bench) -> None:
    bench.engine.set_faults(
        {"call": "SandboxCreateV2", "action": "lose_answer"},
        {"call": "SandboxList*", "action": "refuse"},
        {"call": "SandboxGetFromName*", "action": "refuse"},
    )
    hasty = Launcher(bench.launcher.settings, clock=AheadClock())
    with pytest.raises(ControlPlaneError):
        hasty.up(bench.job("sleep 60"), bench.cluster)
    hasty.close()
    bench.engine.set_faults()
    wait_until(lambda: _all_done(bench))
    assert bench.running() == []
    [status] = bench.launcher.status("local", bench.cluster)["local"]
    assert (status.state, status.reason) == (JobState.FAILED, Reason.LAUNCH_FAILED)


def _all_done(bench: Bench) -> bool:
    return all(job.done for job in bench.launcher.status("local", bench.cluster)["local"])


def test_a_job_waits_for_a_gpu_while_its_launch_returns(bench: Bench) -> None:
    bench.engine.hold_gpus(H100=4)
    begun = time.monotonic()
    status = bench.up("echo $SECRET; sleep 60", gpu="H100:2", envs={"SECRET": "canary-value"})
    assert time.monotonic() - begun < 10
    assert (status.state, status.id) == (JobState.PENDING, bench.running()[0])
    waiting = bench.launcher.find(status.key)
    assert waiting.state is JobState.PENDING
    assert "GPU" in json.loads(waiting.metadata)["waiting_for"]
    bench.engine.hold_gpus()
    wait_until(lambda: bench.launcher.find(status.key).state is JobState.RUNNING)
    assert bench.launcher.find(status.key).id == status.id
    assert next(bench.launcher.logs(status.key, follow=True)).message == "canary-value\n"
    bench.launcher.cancel(status.key)


def test_a_keeper_that_is_killed_leaves_the_job_waiting_and_its_state_right(bench: Bench) -> None:
    bench.engine.hold_gpus(H100=4)
    status = bench.up("sleep 60", gpu="H100")
    bench.kill_keepers()
    assert bench.launcher.find(status.key).state is JobState.PENDING
    assert bench.running() == [status.id]
    bench.engine.hold_gpus()
    wait_until(lambda: bench.launcher.find(status.key).state is JobState.RUNNING)
    assert bench.running() == [status.id]
    bench.launcher.cancel(status.key)


def test_a_job_that_waits_for_a_gpu_can_be_cancelled(bench: Bench) -> None:
    bench.engine.hold_gpus(H100=4)
    status = bench.up("sleep 60", gpu="H100")
    done = bench.launcher.cancel(status.key)
    assert done.state is JobState.CANCELLED
    assert bench.running() == []


def test_the_values_of_a_job_with_a_gpu_are_gone_at_its_end(bench: Bench) -> None:
    status = bench.up("true", gpu="H100", envs={"SECRET": "canary-value"})
    bench.ended(status)
    job = bench.launcher.contexts.ledger.job(status.key)
    assert job is not None
    assert job.secret is None


def test_a_control_plane_that_is_away_is_an_error_and_not_an_absence(bench: Bench) -> None:
    bench.engine.set_faults({"call": "Sandbox*", "action": "refuse"})
    with pytest.raises(ClusterUnreachableError):
        bench.launcher.status("local", "no-such-cluster")


def test_a_launch_that_cannot_begin_leaves_no_trace(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    _call_modal(monkeypatch, bench.engine.endpoint)
    job = JobConfig(run="true", storage_mounts={"/data": StorageMount(source="s3://bucket")})
    with pytest.raises(UsageError, match="AWS_ACCESS_KEY_ID"):
        bench.another().up(job, bench.cluster, cloud="modal")
    assert bench.launcher.jobs(cluster=bench.cluster) == []


def _call_modal(monkeypatch: pytest.MonkeyPatch, endpoint: Endpoint) -> None:
    """Let this be Modal."""
    monkeypatch.setenv("MODAL_SERVER_URL", endpoint.url)
    monkeypatch.setenv("MODAL_TOKEN_ID", endpoint.token_id)
    monkeypatch.setenv("MODAL_TOKEN_SECRET", endpoint.token_secret)


def test_an_unreachable_control_plane_leaves_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _call_modal(monkeypatch, Endpoint(url="http://127.0.0.1:9", token_id="ak-1", token_secret="as-1", pid=0))
    launcher = Launcher(Settings(home=tmp_path))
    with pytest.raises(ClusterUnreachableError):
        launcher.up(JobConfig(run="true"), cloud="modal")
    assert launcher.jobs() == []
