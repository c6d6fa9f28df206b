"""Two control planes in one ledger: the engine of this home, and another one, reached as Modal is."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("home")

PRETEND = "8xH100"


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What makes `--cloud modal` mean a second engine, with pretend GPUs."""
    from trebuchet.engines.local import LocalDaemon
    from trebuchet.settings import Settings

    daemon = LocalDaemon(Settings(home=tmp_path_factory.mktemp("far")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TREBUCHET_LOCAL_GPUS", PRETEND)
        # What every image on Modal is given is not to be fetched here.
        patch.setenv("TREBUCHET_LOCAL_LAYERS", "recorded")
        yield daemon.variables()
    daemon.stop()


def test_a_job_ends_on_modal_with_its_own_output_and_code(
    trebuchet: Callable[..., Any], job_file: Callable[..., str], far: dict[str, str]
) -> None:
    answer = trebuchet("up", job_file("echo out; echo err >&2; exit 5"), "--cloud", "modal", **far)
    assert (answer.code, answer.out) == (5, "out\n")
    assert "err\n" in answer.err


def test_a_gpu_job_gets_its_secret_and_its_gpus_on_modal(
    trebuchet: Callable[..., Any], job_file: Callable[..., str], far: dict[str, str]
) -> None:
    path = job_file("echo $SKYPILOT_NUM_GPUS_PER_NODE $WORD", secrets={"WORD": None})
    answer = trebuchet("up", path, "--cloud", "modal", "--gpus", "H100:2", "--secret", "WORD=said", **far)
    assert (answer.code, answer.out) == (0, "2 said\n"), answer.err


def test_one_ledger_holds_the_jobs_of_both_clouds(
    trebuchet: Callable[..., Any], job_file: Callable[..., str], far: dict[str, str], cluster: str
) -> None:
    path = job_file("sleep 600")
    for cloud in ("local", "modal"):
        assert trebuchet("up", path, "-d", "-c", cluster, "--cloud", cloud, **far).code == 0
    statuses = trebuchet("status", cluster, "--json", **far).json
    assert {status["metadata"]["cloud"] for status in statuses} == {"local", "modal"}
    assert {status["state"] for status in statuses} <= {"PENDING", "RUNNING"}
    for cloud in ("local", "modal"):
        [only] = trebuchet("status", cluster, "--cloud", cloud, "--json", **far).json
        assert only["metadata"]["cloud"] == cloud
    assert trebuchet("down", cluster, "--cloud", "modal", **far).code == 0
    states = {
        status["metadata"]["cloud"]: status["done"]
        for status in trebuchet("status", cluster, "--json", **far).json
    }
    assert states == {"local": False, "modal": True}
    assert trebuchet("down", cluster, **far).code == 0


def test_another_machine_finds_a_cluster_of_a_cloud_by_its_name(
    trebuchet: Callable[..., Any],
    job_file: Callable[..., str],
    far: dict[str, str],
    cluster: str,
    tmp_path: Path,
) -> None:
    launched = trebuchet(
        "up", job_file("sleep 600"), "-d", "-q", "-c", cluster, "--cloud", "modal", **far
    ).out.strip()
    elsewhere = {**far, "TREBUCHET_HOME": str(tmp_path / "elsewhere")}
    assert trebuchet("status", cluster, "--cloud", "modal", "-q", **elsewhere).out.strip() == launched
    assert trebuchet("down", cluster, "--cloud", "modal", **elsewhere).code == 0
    [status] = trebuchet("status", cluster, "--json", **far).json
    assert status["state"] == "CANCELLED"


def test_a_name_that_a_cloud_does_not_know_is_not_found(
    trebuchet: Callable[..., Any], far: dict[str, str], cluster: str
) -> None:
    answer = trebuchet("status", cluster, "--cloud", "modal", **far)
    assert answer.code == 204
    assert "Traceback" not in answer.err


def test_a_machine_with_jobs_of_its_own_sees_all_others_jobs(
    trebuchet: Callable[..., Any],
    job_file: Callable[..., str],
    far: dict[str, str],
    cluster: str,
    tmp_path: Path,
) -> None:
    up = ("up", job_file("sleep 600"), "-d", "-q", "-c", cluster, "--cloud", "modal")
    first = trebuchet(*up, **far).out.strip()
    elsewhere = {**far, "TREBUCHET_HOME": str(tmp_path / "elsewhere")}
    own = trebuchet(*up, **elsewhere).out.strip()
    assert trebuchet("status", "-q", **elsewhere).out.split() == [own]
    assert {first, own} <= set(trebuchet("status", "--all", "-q", **elsewhere).out.split())
    assert trebuchet("down", cluster, "--cloud", "modal", **far).code == 0


def test_a_cloud_that_gives_no_answer_is_a_note_in_what_all_machines_run(
    trebuchet: Callable[..., Any], far: dict[str, str]
) -> None:
    answer = trebuchet("status", "--all", **{**far, "MODAL_SERVER_URL": "http://127.0.0.1:9"})
    assert answer.code == 0, answer.err
    assert "on modal is not known" in answer.err


def test_another_machine_reads_and_cancels_a_running_job_by_its_key_and_its_id(
    trebuchet: Callable[..., Any],
    job_file: Callable[..., str],
    far: dict[str, str],
    cluster: str,
    tmp_path: Path,
) -> None:
    path, key = job_file("echo said; sleep 600"), f"k{uuid.uuid4().hex[:10]}"
    up = trebuchet("up", path, "-d", "-q", "-c", cluster, "--cloud", "modal", "--key", key, **far)
    sandbox_id = up.out.strip()
    first = {**far, "TREBUCHET_HOME": str(tmp_path / "first")}
    assert trebuchet("logs", sandbox_id, **first).code == 0
    second = {**far, "TREBUCHET_HOME": str(tmp_path / "second")}
    assert trebuchet("cancel", key, **second).code == 0
    [status] = trebuchet("status", cluster, "--json", **far).json
    assert status["state"] == "CANCELLED"
