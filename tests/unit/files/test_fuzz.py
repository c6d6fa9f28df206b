"""Whatever stands in a file, the answer is a job or a list of faults; each leaf of a job is accounted for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from trebuchet.errors import JobFileError, PlanError
from trebuchet.files import job_from_text, load_job
from trebuchet.files.fields import OUMI, SKYPILOT
from trebuchet.files.shapes import Either, Listed, Literal, Mapped, Record, Scalar, Variable
from trebuchet.job import JobConfig
from trebuchet.plan import Machine, make_plan
from trebuchet.plan.export import plan_to_dict

SOME = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
MANY = settings(max_examples=200, deadline=None)

_PIECES = [
    *("run: ", "setup: |\n  ", "envs:\n", "  A: ", "resources:\n", "  accelerators: ", "&a ", "*a", "<<: "),
    *("{", "}", "[", "]", "- ", "? ", ": ", "\n", "\t", "  ", "'", '"', "|", ">", "#", "---\n", "...\n"),
    *("!!str ", "!x ", "%YAML 1.1\n", "~", "yes", "1:30", "0x1F", "2026-01-01", "\\0", "\0", "\ud800"),
    *("\ufeff", "é", "🙂", "=", "<", "\x85", "\u2028", ".inf", ".nan"),
]


def _outcome(text: str, **options: Any) -> JobConfig | None:
    """The job, or None where faults were found; anything else that is raised fails the test."""
    try:
        return job_from_text(text, "job.yaml", **options)
    except JobFileError as error:
        _check(error)
        return None


def _check(error: JobFileError | PlanError) -> None:
    assert error.problems
    assert all(problem.message and (problem.line or 1) >= 1 for problem in error.problems)


@given(st.binary(max_size=400))
@SOME
def test_bytes_end_in_a_job_or_in_faults(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "job.yaml"
    file.write_bytes(data)
    try:
        load_job(file)
    except JobFileError as error:
        _check(error)


@given(st.lists(st.sampled_from(_PIECES), max_size=40).map("".join))
@example("? ~\n: ~")
@MANY
def test_pieces_of_yaml_end_in_a_job_or_in_faults(text: str) -> None:
    _outcome(text)


_LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.dates(),
    st.text(max_size=12),
    st.sampled_from(
        [
            "H100:8",
            "A10G",
            "V100:2",
            "aws",
            "modal",
            "*",
            "4+",
            "2x",
            "s3://b/x",
            "gs://",
            "docker:a/b:c",
            "~/x",
            "$A",
            "24h",
        ]
    ),
)


def _any_value() -> st.SearchStrategy[Any]:
    return st.recursive(
        _LEAVES,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=6,
    )


def _fitting(shape: Any) -> st.SearchStrategy[Any]:
    """Values that a shape takes, and now and then one that it does not."""
    match shape:
        case Record():
            fields = {name: _fitting(field.shape) for name, field in shape.fields.items()}
            return st.fixed_dictionaries({}, optional=fields)
        case Mapped():
            return st.dictionaries(_names, _fitting(shape.item), max_size=3)
        case Listed():
            return st.lists(_fitting(shape.item), max_size=3)
        case Either():
            return st.one_of([_fitting(one) for one in shape.shapes])
        case Literal():
            return st.just(shape.value)
        case Variable():
            return st.sampled_from(["x", "", "a b", 1, True, None])
        case Scalar():
            return _LEAVES.filter(shape.fits) | st.none()
        case _:
            return _any_value()


_names = st.sampled_from(["A", "H100", "V100:1", "~/.netrc", "/data", "data", "/x.y/z", "$A", "team", "1x"])
_RECORDS = {"oumi": _fitting(OUMI), "skypilot": _fitting(SKYPILOT)}


def _few_fields(record: dict[str, Any]) -> dict[str, Any]:
    return {"run": "echo", **record}


@given(st.dictionaries(st.sampled_from([*OUMI.fields, *SKYPILOT.fields, "nam"]), _any_value(), max_size=6))
@MANY
def test_values_in_the_wrong_places_end_in_faults(document: dict[str, Any]) -> None:
    _outcome(yaml.safe_dump(document, allow_unicode=True))


@pytest.mark.parametrize("dialect", ["oumi", "skypilot"])
@pytest.mark.parametrize("cloud", ["modal", "local"])
@given(data=st.data())
@SOME
def test_each_leaf_of_a_generated_file_is_accounted_for(
    dialect: str, cloud: str, data: st.DataObject
) -> None:
    document = _few_fields(data.draw(_RECORDS[dialect]))
    overrides = data.draw(
        st.sampled_from([(), ("--resources.cloud", cloud), ("--resources.accelerators", "L4")])
    )
    job = _outcome(
        yaml.safe_dump(document), dialect=dialect, overrides=overrides, as_task=data.draw(st.booleans())
    )
    if job is None:
        return
    machine = data.draw(
        st.sampled_from([None, Machine(gpus={"H100": 8}, any_gpu=True, cpus=4, memory_mib=1024)])
    )
    try:
        plan = make_plan(job, cloud=cloud, machine=machine)
    except PlanError as error:
        _check(error)
        return
    written = {position.key for position in job.positions.values() if position.leaf}
    assert written <= set(plan.account)
    assert set(plan.account.values()) <= {"translated", "noted"}
    assert plan.candidates
    plan_to_dict(plan)


@given(
    st.dictionaries(
        st.sampled_from(
            ["resources.cpus", "envs.A", "name", "run", "resources", "resources.any_of", "a.b.c"]
        ),
        st.text(max_size=12),
        max_size=3,
    )
)
@MANY
def test_overrides_end_in_a_job_or_in_faults(given_overrides: dict[str, str]) -> None:
    words = [word for key, value in given_overrides.items() for word in (f"--{key}", value)]
    _outcome("workdir: .\nresources: {any_of: [{cpus: 2}]}\nrun: x", overrides=words)


_GOOD = {
    "accelerators": ["H100:8", "A10G", ["L4", "V100"], {"A100": 2}, {"T4:1": None, "K80:1": None}, None],
    "gpus": ["L4:2", None],
    "cpus": [4, "8+", None],
    "memory": [32, "64GB", "2x", None],
    "image_id": ["docker:a/b:c", "ubuntu:22.04", None],
    "disk_size": [100, 1000, None],
    "disk_tier": ["best"],
    "use_spot": [True, False],
    "region": ["us-east", "us-east-1"],
    "zone": ["a"],
    "infra": ["modal", "aws/us-east-1/a", "*", None],
    "instance_type": ["p4d.24xlarge"],
    "ports": [8080, ["1-3", 9], []],
    "labels": [{"a": "b"}, {}],
    "autostop": [True, {"idle_minutes": 3}],
    "priority": [3],
    "job_recovery": [
        "failover",
        {"strategy": "x", "max_restarts_on_errors": 2},
        {"recover_on_exit_codes": [3]},
    ],
    "max_hourly_cost": [3],
    "config_overrides": [{}, None],
}


def _sets(values: dict[str, list[Any]], most: int) -> st.SearchStrategy[dict[str, Any]]:
    names = st.lists(st.sampled_from(sorted(values)), max_size=most, unique=True)
    return names.flatmap(
        lambda chosen: st.fixed_dictionaries({name: st.sampled_from(values[name]) for name in chosen})
    )


_ALTERNATIVES = st.lists(_sets(_GOOD, 3), max_size=3)
_RESOURCES = st.tuples(_sets(_GOOD, 4), st.sampled_from(["any_of", "ordered", None]), _ALTERNATIVES).map(
    lambda drawn: {**drawn[0], **({drawn[1]: drawn[2]} if drawn[1] else {})}
)


@pytest.mark.parametrize("cloud", ["modal", "local"])
@given(
    resources=_RESOURCES,
    overrides=st.sampled_from([(), ("--resources.cloud", "modal"), ("--resources.accelerators", "L4")]),
    machine=st.sampled_from([None, Machine(gpus={"H100": 8, "L4": 1}, cpus=4, memory_mib=1024)]),
)
@MANY
def test_each_leaf_of_resources_is_accounted_for(
    cloud: str, resources: dict[str, Any], overrides: tuple[str, ...], machine: Machine | None
) -> None:
    document = {"workdir": ".", "resources": resources, "run": "x"}
    job = _outcome(yaml.safe_dump(document), overrides=overrides)
    if job is None:
        return
    try:
        plan = make_plan(job, cloud=cloud, machine=machine)
    except PlanError as error:
        _check(error)
        return
    assert {position.key for position in job.positions.values() if position.leaf} <= set(plan.account)
