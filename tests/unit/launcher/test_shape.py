"""The launcher has the shape that code written for `oumi.launcher` expects."""

from __future__ import annotations

import asyncio
import io
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

import trebuchet
from trebuchet import launcher as functions
from trebuchet.errors import ClusterNotFoundError, JobNotFoundError, UsageError
from trebuchet.launcher import LocalCloud, ModalCloud
from trebuchet.settings import Settings
from trebuchet.status import JobState, LogEntry

if TYPE_CHECKING:
    from pathlib import Path

    from support.bench import Bench


def test_up_gives_a_cluster_and_a_status(bench: Bench) -> None:
    cluster, status = bench.launcher.up(bench.job("sleep 60"), bench.cluster)
    assert cluster.name() == status.cluster == bench.cluster
    assert cluster.get_job(status.id) is not None
    assert cluster.get_job("sb-of-nobody") is None
    cluster.down()
    assert [job.state for job in cluster.get_jobs()] == [JobState.CANCELLED]


def test_the_names_that_oumi_code_takes_from_its_launcher_are_there() -> None:
    assert functions.JobConfig is trebuchet.JobConfig
    assert functions.JobResources is trebuchet.JobResources
    assert functions.StorageMount is trebuchet.StorageMount


def test_another_job_joins_a_cluster_that_exists(bench: Bench) -> None:
    cluster, first = bench.launcher.up(bench.job("true"), bench.cluster)
    second = bench.launcher.run(bench.job("true"), bench.cluster)
    third = cluster.run_job(bench.job("true"))
    _, fourth = bench.launcher.up(bench.job("true"), bench.cluster)
    assert [job.id for job in cluster.get_jobs()] == [fourth.id, third.id, second.id, first.id]


def test_a_cloud_knows_its_clusters(bench: Bench) -> None:
    cloud = bench.launcher.get_cloud("local")
    status = cloud.up_cluster(bench.job("true"), bench.cluster)
    cluster = cloud.get_cluster(bench.cluster)
    assert cluster is not None
    assert cluster in cloud.list_clusters()
    assert cluster.get_jobs()[0].id == status.id
    assert cloud.get_cluster(status.id) is None  # it has a label; its id is none


def test_a_job_of_another_cluster_is_not_cancelled(bench: Bench) -> None:
    _, status = bench.launcher.up(bench.job("sleep 60"), bench.cluster)
    other, _ = bench.launcher.up(bench.job("true"), bench.cluster + "-other")
    with pytest.raises(JobNotFoundError):
        other.cancel_job(status.id)
    with pytest.raises(JobNotFoundError):
        bench.launcher.cancel(status.id, "modal")
    assert bench.running() == [status.id]
    assert bench.launcher.cancel(status.id, "local", bench.cluster).state is JobState.CANCELLED


def test_stop_cancels_all_that_runs_and_nothing_else(bench: Bench) -> None:
    done = bench.ended(bench.up("true"))
    running = {bench.up("sleep 60").key, bench.up("sleep 60").key}
    stopped = bench.launcher.stop("local", bench.cluster)
    assert {status.key for status in stopped} == running
    assert {status.state for status in stopped} == {JobState.CANCELLED}
    assert bench.launcher.find(done.key) == done


def test_logs_come_as_a_text_stream_without_our_markers(bench: Bench) -> None:
    cluster, status = bench.launcher.up(
        bench.job("echo one; echo two; printf three", setup="true"), bench.cluster
    )
    stream = cluster.get_logs_stream(bench.cluster, status.id)
    assert isinstance(stream, io.TextIOBase)
    assert stream.readline() == "one\n"
    assert list(stream) == ["two\n", "three"]
    assert cluster.get_logs_stream().read() == "one\ntwo\nthree"
    with pytest.raises(ClusterNotFoundError):
        cluster.get_logs_stream("another")


def test_a_job_is_attached_to_by_another_process_and_says_all_about_itself(bench: Bench) -> None:
    status = bench.up("echo one; echo two; sleep 0.2; echo aside >&2; printf three; echo 3 > /outputs/model")
    job = bench.another().attach(status.id)
    assert job == bench.launcher.attach(status.key)

    async def read() -> tuple[list[LogEntry], str]:
        entries = [entry async for entry in job.logs(follow=True)]
        return entries, "".join([line async for line in job.get_logs_stream()])

    entries = list(job.logs(follow=True))
    assert {entry.source for entry in entries} == {"stdout", "stderr"}
    text = "".join(entry.message for entry in entries)
    assert text.startswith("one\ntwo\n")
    assert asyncio.run(read()) == (entries, text)
    assert job.get_logs_stream().read() == text
    assert "".join(entry.message for entry in job.logs(source="stdout")) == "one\ntwo\nthree"
    assert job.wait() == job.status()
    assert job.cancel().state is JobState.SUCCEEDED
    assert [file.path for file in job.outputs().list()] == ["model"]
    assert "created" in [event.kind for event in job.events()]


def test_the_log_of_a_job_that_waits_for_a_gpu_begins_when_it_runs(bench: Bench) -> None:
    bench.engine.hold_gpus(H100=4)
    status = bench.up("echo here", gpu="H100")
    stream = bench.client.get_logs_stream(status.id)
    bench.engine.hold_gpus()
    assert stream.read() == "here\n"


def test_a_cluster_is_not_taken_for_a_job_whose_key_happens_to_begin_with_its_name(bench: Bench) -> None:
    other = bench.up("true")
    name = other.key[:3]
    assert bench.launcher.find(name, cached=True).key == other.key
    _, status = bench.launcher.up(bench.job("true"), name)
    assert bench.launcher.find(name, cached=True).key == status.key
    assert bench.launcher.find(other.key[:4], cached=True).key == other.key
    assert bench.launcher.find(other.key, cached=True).key == other.key
    assert bench.launcher.find(other.id, cached=True).key == other.key


def test_which_clouds_there_are(bench: Bench) -> None:
    assert bench.launcher.which_clouds() == ["local", "modal"]
    assert isinstance(bench.launcher.get_cloud("modal"), ModalCloud)
    assert isinstance(bench.launcher.get_cloud(bench.job("true")), LocalCloud)
    with pytest.raises(UsageError, match="aws"):
        bench.launcher.get_cloud("aws")


def test_the_functions_are_those_of_a_launcher_in_the_users_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TREBUCHET_HOME", str(tmp_path))
    assert trebuchet.status() == {"local": [], "modal": []}
    assert functions.which_clouds() == ["local", "modal"]
    assert (tmp_path / "ledger.sqlite3").exists()
    with pytest.raises(ClusterNotFoundError):
        functions.status("local", "never-was", cached=True)


def test_times_are_seconds_since_the_epoch_as_oumi_has_them(bench: Bench) -> None:
    before = time.time()
    done = bench.ended(bench.up("true"))
    times = (before, done.submit_time, done.start_at, done.end_at, time.time())
    assert list(times) == sorted(times)


def test_the_public_names_are_all_there_and_sorted() -> None:
    assert trebuchet.__all__ == sorted(trebuchet.__all__)
    assert all(getattr(trebuchet, name) is not None for name in trebuchet.__all__)
    assert callable(trebuchet.status)
    assert callable(trebuchet.logs)


def test_importing_the_package_is_cheap() -> None:
    heavy = ("modal", "yaml", "rich", "click", "sqlite3", "asyncio", "trebuchet.launcher")
    program = f"import trebuchet, sys; print([name for name in {heavy!r} if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout == "[]\n"


def test_the_price_is_the_callers(bench: Bench) -> None:
    launcher = trebuchet.Launcher(
        Settings(home=bench.home), price=lambda spec: 2.5 if spec.gpu is None else 9.0
    )
    assert launcher.up(bench.job("true"), bench.cluster)[1].cost_per_hour == 2.5
    assert bench.up("true").cost_per_hour is None
