"""What the ledger promises about jobs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from trebuchet.job import JobConfig
from trebuchet.ledger import Ledger, Outcome, config_as_data
from trebuchet.sandbox import BucketMount, ImageSpec, SandboxSpec, Upload, VolumeMount
from trebuchet.status import JobState, Phase, Reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from trebuchet.ledger import Job

    Added = Callable[..., Job]

SUCCESS = Outcome(state=JobState.SUCCEEDED, reason=Reason.EXIT, exit_code=0, phase=Phase.DONE)
FAILURE = Outcome(state=JobState.FAILED, reason=Reason.EXIT, exit_code=3)


def test_a_key_is_taken_once(ledger: Ledger, added: Added) -> None:
    job = added("k1", name="first")
    assert not ledger.add(replace(job, name="second"), {}, ())
    found = ledger.job("k1")
    assert found is not None
    assert found.name == "first"


def test_a_row_comes_back_as_it_went_in(ledger: Ledger, added: Added) -> None:
    job = added("k1", cluster="c", gpu="H100", claim="me", git_commit="abc", git_dirty=True, secret="s")
    assert ledger.job("k1") == job
    assert ledger.jobs() == [job]


def test_a_recipe_comes_back_without_the_values_of_its_environment(ledger: Ledger, added: Added) -> None:
    spec = SandboxSpec(
        argv=("bash", "-c", "é\udc80\n"),
        image=ImageSpec(registry_ref="a:b", apt_packages=("zip",), variables={"A": "b"}),
        env={"TOKEN": "canary-value"},
        gpu="H100:2",
        cpu=0.5,
        regions=("eu",),
        uploads=(Upload(source=Path("/a b"), target="/root/x", role="workdir"),),
        volumes=(VolumeMount(name="v", path="/v", sub_path="s"),),
        buckets=(BucketMount(store="s3", bucket="b", path="/b"),),
        ports=(80,),
        tags={"x": "y"},
        name="n",
    )
    job = replace(added("k1"), key="k2")
    job = replace(job, current=replace(job.current, key="k2"))
    assert ledger.add(job, {"run": "true"}, (spec,))
    recipe = ledger.recipe("k2")
    assert recipe.candidates == (replace(spec, env={}),)
    assert recipe.config == {"run": "true"}


def test_no_value_of_envs_or_secrets_is_written(ledger: Ledger, added: Added) -> None:
    job = JobConfig(name="j", envs={"A": "canary-value"}, secrets={"B": "canary-value"}, run="true")
    data = config_as_data(job)
    assert data["envs"] == {"A": None}
    added("k1")  # its spec has the canary in env
    ledger.close()
    for file in ledger.path.parent.iterdir():
        assert b"canary-value" not in file.read_bytes()


def test_the_first_end_counts(ledger: Ledger, added: Added) -> None:
    job = added("k1")
    assert ledger.ended(job.current, SUCCESS, at=10)
    assert not ledger.ended(job.current, FAILURE, at=11)
    ledger.running(job.current, at=12)
    ledger.want_cancel("k1", by="me", at=13)
    ended = ledger.job("k1")
    assert ended is not None
    assert (ended.state, ended.reason, ended.exit_code, ended.end_at) == (JobState.SUCCEEDED, "exit", 0, 10)
    assert ended.cancel_at is None


def test_the_first_wish_to_cancel_counts(ledger: Ledger, added: Added) -> None:
    added("k1")
    ledger.want_cancel("k1", by="a", at=1)
    ledger.want_cancel("k1", by="b", at=2)
    job = ledger.job("k1")
    assert job is not None
    assert (job.cancel_by, job.cancel_at) == ("a", 1)


def test_being_seen_forgets_that_it_was_missing(ledger: Ledger, added: Added) -> None:
    added("k1")
    ledger.missing("k1", at=1)
    ledger.missing("k1", at=2)
    job = ledger.job("k1")
    assert job is not None
    assert job.missing_at == 1
    ledger.seen(["k1"], at=3)
    job = ledger.job("k1")
    assert job is not None
    assert job.missing_at is None


def test_a_job_is_found_by_key_id_and_unique_prefix(ledger: Ledger, added: Added) -> None:
    one, two = added("abc1"), added("abd2")
    ledger.created(one.current, "sb-11", at=1)
    ledger.created(two.current, "sb-12", at=1)
    assert ledger.resolve("abc1") == ["abc1"]
    assert ledger.resolve("sb-11") == ["abc1"]
    assert ledger.resolve("abd") == ["abd2"]
    assert sorted(ledger.resolve("ab")) == ["abc1", "abd2"]
    assert sorted(ledger.resolve("sb-1")) == ["abc1", "abd2"]
    assert ledger.resolve("%") == []
    assert ledger.resolve("") == []


def test_a_key_that_is_another_keys_prefix_means_itself(ledger: Ledger, added: Added) -> None:
    added("train")
    added("train-2")
    assert ledger.resolve("train") == ["train"]


def test_the_id_of_a_sandbox_that_waited_in_vain_still_finds_its_job(ledger: Ledger, added: Added) -> None:
    job = added("k1", gpu="H100")
    ledger.created(job.current, "sb-1", at=1)
    ledger.no_capacity(job.current, candidate=1, gpu="A100", at=2)
    again = ledger.job("k1")
    assert again is not None
    assert (again.sandbox_id, again.current.gpu) == (None, "A100")
    assert ledger.resolve("sb-1") == ["k1"]


def test_jobs_come_newest_first_and_filtered(ledger: Ledger, added: Added) -> None:
    added("k1", cluster="a")
    done = added("k2", cluster="a")
    added("k3", cluster="b", cloud="modal")
    ledger.ended(done.current, SUCCESS, at=1)
    assert [job.key for job in ledger.jobs()] == ["k3", "k2", "k1"]
    assert [job.key for job in ledger.jobs(cluster="a")] == ["k2", "k1"]
    assert [job.key for job in ledger.jobs(cluster="a", unfinished=True)] == ["k1"]
    assert [job.key for job in ledger.jobs(cloud="modal")] == ["k3"]
    assert [job.key for job in ledger.jobs(limit=1)] == ["k3"]


def test_a_job_without_a_label_is_the_cluster_of_its_id(ledger: Ledger, added: Added) -> None:
    job = added("k1")
    ledger.created(job.current, "sb-1", at=1)
    added("k2", cluster="c")
    assert ledger.clusters("local") == ["c", "sb-1"]
    assert [job.key for job in ledger.jobs(cluster="sb-1")] == ["k1"]


def test_a_claim_is_taken_once(ledger: Ledger, added: Added) -> None:
    job = added("k1")
    assert ledger.take_claim(job.current, "a")
    assert not ledger.take_claim(job.current, "b")  # made from the same old row
    ledger.drop_claim("k1", 1, "b")
    assert not ledger.take_claim(job.current, "b")
    ledger.drop_claim("k1", 1, "a")
    assert ledger.take_claim(job.current, "b")


def test_what_happened_is_kept_in_order(ledger: Ledger, added: Added) -> None:
    job = added("k1")
    ledger.asked(job.current, at=2, allotted_s=60)
    ledger.created(job.current, "sb-1", at=3)
    ledger.created(job.current, "sb-1", at=4)
    ledger.running(job.current, at=5)
    ledger.ended(job.current, FAILURE, at=6)
    events = ledger.events("k1")
    assert [event.kind for event in events] == ["intended", "asked", "created", "running", "ended"]
    assert events[-1].detail["exit_code"] == 3


def test_looking_for_unfinished_jobs_does_not_grow_with_history(ledger: Ledger, added: Added) -> None:
    for number in range(300):
        job = added(f"k{number}", cluster="c")
        ledger.ended(job.current, SUCCESS, at=1)
    added("open", cluster="c")
    plan = ledger._database.rows(
        "EXPLAIN QUERY PLAN SELECT key FROM jobs WHERE cloud = ? AND end_at IS NULL", ("local",)
    )
    assert "jobs_unfinished" in plan[0]["detail"]


def test_an_attempt_waits_for_its_gpu_from_its_first_asking_on(ledger: Ledger, added: Added) -> None:
    job = added("k1", gpu="H100", wait_for_gpu_s=600.0, launch_until=5_000.0)
    for at in (100.0, 400.0):
        ledger.asked(job.current, at=at, allotted_s=60)
    assert _launch_until(ledger) == 700.0
    late = added("k2", gpu="H100", wait_for_gpu_s=600.0, launch_until=5_000.0)
    ledger.asked(late.current, at=4_900.0, allotted_s=60)
    assert _launch_until(ledger, "k2") == 5_000.0
    plain = added("k3", launch_until=5_000.0)
    ledger.asked(plain.current, at=100.0, allotted_s=60)
    assert _launch_until(ledger, "k3") == 5_000.0


def _launch_until(ledger: Ledger, key: str = "k1") -> float:
    job = ledger.job(key)
    assert job is not None
    return job.launch_until
