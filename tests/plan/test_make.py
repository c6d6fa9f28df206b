"""Plans of jobs that were made in Python, and what holds of every plan."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path

import pytest

from trebuchet.errors import PlanError
from trebuchet.files import job_from_text
from trebuchet.job import JobConfig, JobResources, StorageMount
from trebuchet.plan import make_plan
from trebuchet.plan.export import plan_to_dict
from trebuchet.plan.script import oversize


def test_a_job_made_in_python_is_accounted_for() -> None:
    job = JobConfig(
        name="a",
        user="me",
        working_dir="src",
        resources=JobResources(
            cloud="modal", accelerators={"H100": 2}, labels={"x": "y"}, any_of=({"cpus": 4},)
        ),
        envs={"A": "1"},
        file_mounts={"/x": "x"},
        storage_mounts={"/d": StorageMount(source="s3://bucket")},
        volumes={"/v": {"name": "v", "sub_path": "s"}},
        run="x",
        timeout=60,
        outputs=("model",),
        max_restarts=2,
        restart_on=("preempted",),
    )
    plan = make_plan(job, cloud="modal", here=Path("/here"))
    assert set(plan.account) >= {
        "resources.any_of.0.cpus",
        "volumes./v.sub_path",
        "storage_mounts./d.source",
        "envs.A",
    }
    assert plan.candidates[0].uploads[0].source == Path("/here/src")


def test_a_field_that_no_part_knows_is_an_internal_error() -> None:
    with pytest.raises(AssertionError, match="the plan says nothing about surprise"):
        make_plan(JobConfig(run="x", extras={"surprise": 1}), cloud="modal")


def test_all_refusals_come_at_once() -> None:
    job = JobConfig(
        run="", num_nodes=2, resources=JobResources(accelerators="V100"), envs={"1": "x"}, max_cost=-1
    )
    with pytest.raises(PlanError) as caught:
        make_plan(job, cloud="modal")
    said = str(caught.value)
    assert all(
        field in said for field in ("run:", "num_nodes:", "resources.accelerators:", "envs.1:", "max_cost:")
    )


def test_values_of_variables_stay_in_the_environment() -> None:
    text = """
        envs: {A: canary1, SKYPILOT_DOCKER_USERNAME: canary2}
        secrets: {B: canary3, SKYPILOT_DOCKER_PASSWORD: canary4}
        resources: {image_id: docker:a/b}
        run: x
    """
    plan = make_plan(job_from_text(text, "job.yaml"), cloud="modal")
    assert "canary" not in repr(plan)
    assert "canary" not in json.dumps(plan_to_dict(plan))
    assert plan.candidates[0].env["B"] == "canary3"


def test_a_secret_with_the_name_of_a_variable_stays_out_of_paths() -> None:
    job = JobConfig(
        run="x",
        envs={"S": "public"},
        secrets={"S": "canary"},
        file_mounts={"/d/$S": "./$S"},
        storage_mounts={"/b/$S": StorageMount(source="s3://$S")},
        volumes={"/v/$S": "$S"},
    )
    plan = make_plan(job, cloud="modal")
    assert "canary" not in json.dumps(plan_to_dict(plan))
    [spec] = plan.candidates
    assert (spec.uploads[0].target, spec.env["S"]) == ("/d/public", "canary")


def test_values_of_variables_stay_out_of_refusals() -> None:
    job = JobConfig(
        run="x", envs={"A": "canary\0", "B B": "canary", "C": "canary" * 100_000}, secrets={"D": "canary\0"}
    )
    with pytest.raises(PlanError) as caught:
        make_plan(job, cloud="modal")
    assert "canary" not in str(caught.value)


def test_scripts_reach_the_command_byte_for_byte() -> None:
    job = JobConfig(setup="\techo 'é' \"$A\"\r\n", run="cat <<X\n~ \\ `b`\nX\n")
    argv = make_plan(job, cloud="local").candidates[0].argv
    assert {job.setup, job.run} <= set(argv)


def test_a_git_work_dir_travels_in_the_command() -> None:
    job = JobConfig(working_dir="https://github.com/o/r", working_dir_ref="main", run="x")
    assert {"clone=https://github.com/o/r", "ref=main"} <= set(
        make_plan(job, cloud="local").candidates[0].argv
    )


@pytest.mark.parametrize("ref", ["-f", "a b", "", "x\0"])
def test_a_git_ref_that_is_none_is_refused(ref: str) -> None:
    with pytest.raises(PlanError, match="no branch, tag or commit"):
        make_plan(
            JobConfig(working_dir="https://github.com/o/r", working_dir_ref=ref, run="x"), cloud="local"
        )


@pytest.mark.parametrize("run", ["x" * 70_000, "é" * 66_000])
def test_scripts_too_long_for_arguments_travel_as_files(run: str) -> None:
    [spec] = make_plan(JobConfig(run=run, setup="short"), cloud="modal").candidates
    assert sorted(spec.scripts.values()) == sorted([run, "short"])
    assert run not in spec.argv
    assert oversize(spec.argv) is None


def test_what_is_kept_counts_as_arguments_too() -> None:
    assert make_plan(JobConfig(run="x" * 40_000, outputs=["y" * 20_000]), cloud="modal").candidates[0].scripts
    with pytest.raises(PlanError, match="can be passed"):
        make_plan(JobConfig(run="x", outputs=["y" * 70_000]), cloud="modal")


def test_the_model_cache_can_be_left_out() -> None:
    assert make_plan(JobConfig(run="x"), cloud="local", cache_volume="").candidates[0].volumes == ()


def test_the_variables_of_a_candidate_follow_its_gpus() -> None:
    plan = make_plan(
        JobConfig(run="x", resources=JobResources(accelerators=["H100:8", "A100:4"])), cloud="modal"
    )
    assert [spec.variables["SKYPILOT_NUM_GPUS_PER_NODE"] for spec in plan.candidates] == ["8", "4"]


_MANY = 7_000
_LONG = {
    "files and volumes": "file_mounts:\n"
    + "".join(f"  /d/{i}: ./x{i}\n  /d/{i}/m: {{name: v{i}}}\n" for i in range(_MANY)),
    "volumes": "volumes:\n" + "".join(f"  /d/{i}: v{i}\n" for i in range(3 * _MANY)),
    "refusals": "envs:\n" + "".join(f"  K{i}:\n" for i in range(3 * _MANY)),
    "long places": f"file_mounts:\n  ? {'/a' * 200_000}\n  : ./x\n  ? {'/b' * 200_000}\n  : {{name: v}}\n",
    "alternatives": "resources:\n  any_of:\n" + "  - {accelerators: L4, region: us-east}\n" * _MANY,
}


@pytest.mark.parametrize("text", _LONG.values(), ids=_LONG)
def test_thousands_of_entries_take_seconds_at_most(text: str) -> None:
    began = time.process_time()
    job = job_from_text(f"num_nodes: 1\n{text}run: x\n", "job.yaml", overrides=["--resources.cloud", "modal"])
    with contextlib.suppress(PlanError):
        make_plan(job, cloud="modal")
    assert time.process_time() - began < 6  # each with each would take a minute


def test_a_variable_that_every_job_is_given_is_not_taken_from_the_file() -> None:
    envs = {"SKYPILOT_NUM_NODES": "4", "OTHER": "x"}
    plan = make_plan(JobConfig(run="x", envs=envs, secrets={"TREBUCHET_ATTEMPT": "9"}), cloud="local")
    assert [note.field for note in plan.notes] == ["envs.SKYPILOT_NUM_NODES", "secrets.TREBUCHET_ATTEMPT"]
    assert plan.candidates[0].env == {"OTHER": "x"}


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        (("a/metrics.json", "/b/metrics.json"), "a/metrics.json and /b/metrics.json would both become"),
        (("a", ""), "a path among them is empty"),
    ],
)
def test_outputs_that_would_replace_one_another_are_refused(paths: tuple[str, ...], said: str) -> None:
    with pytest.raises(PlanError, match=said):
        make_plan(JobConfig(run="x", outputs=paths), cloud="modal")
    make_plan(JobConfig(run="x", outputs=("a/b", "a/c", "a/b", ".")), cloud="modal")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/", "/ holds all of the system"),
        ("//", "// holds all of the system"),
        ("../..", "holds all of the system"),
        ("~/..", "holds all of the system"),
        ("/root/../", "holds all of the system"),
        ("/proc", "the kernel's"),
        ("/sys/class", "the kernel's"),
        ("/dev/shm", "the kernel's"),
        ("/outputs", "is where outputs are"),
        ("/outputs/model", "is where outputs are"),
        ("../../outputs/x/..", "is where outputs are"),
    ],
)
def test_what_is_no_file_to_keep_or_holds_the_outputs_themselves_is_refused(path: str, said: str) -> None:
    with pytest.raises(PlanError, match=said):
        make_plan(JobConfig(run="x", outputs=(path,)), cloud="modal")


def test_what_only_begins_like_such_a_place_is_kept() -> None:
    make_plan(JobConfig(run="x", outputs=("/outputs2", "/device", "/root", "outputs", "..")), cloud="modal")


@pytest.mark.parametrize("name", ["acme-user", "acme-until", "trebuchet-user"])
def test_no_label_passes_as_a_tag_of_our_own_whatever_these_begin_with(name: str) -> None:
    job = JobConfig(run="x", resources=JobResources(cloud="local", labels={name: "1"}))
    with pytest.raises(PlanError, match="marks Trebuchet's own tags"):
        make_plan(job, cloud="local", tag_prefix="acme-")
    if not name.startswith("trebuchet"):
        assert make_plan(job, cloud="local").candidates[0].tags == {name: "1"}


def test_an_output_without_a_value_is_refused() -> None:
    with pytest.raises(PlanError, match="a path among them is empty"):
        make_plan(job_from_text("run: x\noutputs: [~]\n", "job.yaml"), cloud="modal")


def test_a_priority_is_set_from_python() -> None:
    job = JobConfig(run="true", resources=JobResources(cloud="local", priority=5))
    [spec] = make_plan(job, cloud="local").candidates
    assert spec.tags["trebuchet-priority"] == "5"
