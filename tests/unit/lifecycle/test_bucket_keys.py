"""The keys of a bucket reach whoever creates the sandbox, and lie nowhere else."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import modal
import pytest

from support.engine import wait_until
from trebuchet.engines.local import LocalDaemon
from trebuchet.errors import TrebuchetError, UsageError
from trebuchet.job import JobConfig, JobResources, StorageMount
from trebuchet.launcher import Launcher
from trebuchet.lifecycle.values import from_kept
from trebuchet.settings import Settings
from trebuchet.status import JobStatus

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CANARY = "canary-of-a-bucket"


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalDaemon]:
    """An engine with pretended GPUs."""
    daemon = LocalDaemon(Settings(home=tmp_path_factory.mktemp("far")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TREBUCHET_LOCAL_GPUS", "2xH100")
        patch.setenv("TREBUCHET_LOCAL_LAYERS", "recorded")  # nothing has to be fetched for these
        daemon.variables()
    yield daemon
    daemon.stop()


@pytest.fixture
def launcher(far: LocalDaemon, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Launcher]:
    """One for which that engine is Modal."""
    for name, value in far.variables().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "mine")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", CANARY)
    launcher = Launcher(Settings(home=tmp_path))
    yield launcher
    launcher.close()


def job(**fields: str) -> JobConfig:
    resources = JobResources(cloud="modal", accelerators=fields.pop("accelerators", None))
    mounts = {"/data": StorageMount(source="s3://bucket/part", store="s3")}
    return JobConfig(name="job", run="true", resources=resources, storage_mounts=mounts, **fields)  # pyright: ignore[reportArgumentType]


def secrets_of(launcher: Launcher) -> set[str]:
    client = launcher.contexts.of("modal").engine._engine._connection.client
    return {secret.name or "" for secret in modal.Secret.objects.list(client=client)}


def test_a_job_with_a_gpu_is_created_by_the_keeper_with_the_keys_of_whoever_launched_it(
    launcher: Launcher, tmp_path: Path
) -> None:
    # The engine mounts no buckets: that it says so means that the request was whole, its keys included.
    with pytest.raises(TrebuchetError, match="bucket mounts"):
        launcher.up(job(accelerators="H100"))
    [status] = launcher.jobs()
    assert status.done
    wait_until(lambda: not {name for name in secrets_of(launcher) if name.startswith("trebuchet-")})
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert written
    assert not any(CANARY.encode() in content for content in written)


def test_the_keys_have_a_secret_of_their_own_for_mounting_alone(launcher: Launcher) -> None:
    with pytest.raises(TrebuchetError):
        launcher.up(job(accelerators="H100"))
    [status] = launcher.jobs()
    ledger = launcher.contexts.ledger
    row = ledger.job(status.key)
    assert row is not None
    [spec] = ledger.recipe(status.key).candidates

    kept = from_kept(replace(row, secret=f"trebuchet-{row.key}"), spec)
    assert [bucket.secret for bucket in kept.buckets] == [f"trebuchet-{row.key}-s3"]
    assert kept.secrets == ()


@pytest.mark.parametrize("gpu", [None, "H100"])
def test_without_keys_nothing_is_begun(
    launcher: Launcher, monkeypatch: pytest.MonkeyPatch, gpu: str | None
) -> None:
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(UsageError, match="AWS_SECRET_ACCESS_KEY"):
        launcher.up(job(accelerators=gpu) if gpu else job())
    assert launcher.jobs() == []


def test_among_many_one_without_keys_does_not_lose_the_others(
    launcher: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    plain = JobConfig(name="plain", run="true", resources=JobResources(cloud="modal"))
    results = launcher.up_many([plain, job(), plain])
    assert [type(result) for result in results] == [JobStatus, UsageError, JobStatus]
    for result in results:
        if isinstance(result, JobStatus):
            launcher.cancel(result.key)
