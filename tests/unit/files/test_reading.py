"""What a file's text becomes."""

from __future__ import annotations

from pathlib import Path

import pytest

from trebuchet.errors import JobFileError, UsageError
from trebuchet.files import job_from_text, load_job
from trebuchet.job import JobConfig, Position


def _job(text: str, *overrides: str, **options: object) -> JobConfig:
    return job_from_text(text, "job.yaml", overrides=overrides, **options)  # type: ignore[arg-type]


def test_variables_become_the_text_that_python_makes_of_them() -> None:
    job = _job(
        "envs: {A: false, B: yes, C: 1, D: 1.50, E: 2026-01-02, F: '0123', G: 1:30, H: 0x10, I: 1e3}\nrun: x"
    )
    assert job.envs == {
        "A": "False", "B": "True", "C": "1", "D": "1.5", "E": "2026-01-02", "F": "0123", "G": "90", "H": "16",
        "I": "1e3",
    }  # fmt: skip


def test_null_variables_wait_for_a_value() -> None:
    assert _job("secrets: {A: , B: null, C: ''}\nrun: x").secrets == {"A": None, "B": None, "C": ""}


def test_scripts_are_kept_to_the_byte() -> None:
    script = "echo 'a' \"b\" $C `d` \\\n\techo é ü 漢  \n\n  x\n"
    assert _job("run: |\n" + "".join(f"    {line}\n" for line in script.splitlines())).run == script


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("90m", 5400),
        ("24h", 86_400),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("2d", 172_800),
        ("'60'", 60),
    ],
)
def test_timeout_is_a_length_of_time(text: str, seconds: int) -> None:
    assert _job(f"timeout: {text}\nrun: x").timeout == seconds


@pytest.mark.parametrize("text", ["0", "-5", "soon", "true", "[1]", "5y", "''"])
def test_timeout_that_is_no_length_of_time(text: str) -> None:
    with pytest.raises(JobFileError, match="length of time"):
        _job(f"timeout: {text}\nrun: x")


def test_infra_is_cloud_region_and_zone() -> None:
    resources = _job("resources: {infra: aws/us-east-1/us-east-1a}\nrun: x").resources
    assert (resources.cloud, resources.region, resources.zone) == ("aws", "us-east-1", "us-east-1a")


def test_infra_with_a_star_leaves_the_region_alone() -> None:
    resources = _job("resources: {infra: '*/us-east-1'}\nrun: x").resources
    assert (resources.cloud, resources.region) == ("*", "us-east-1")


def test_recovery_becomes_the_restart_policy() -> None:
    job = _job(
        "resources: {job_recovery: {strategy: x, max_restarts_on_errors: 3, recover_on_exit_codes: 33}}"
        "\nrun: x"
    )
    assert (job.max_restarts_on_errors, job.restart_on) == (3, ["preempted", 33, "failure"])


def test_values_know_their_place() -> None:
    job = _job("name: x\nresources:\n  ordered:\n  - gpus: H100\nrun: x\n")
    assert job.positions["resources.any_of.0.accelerators"] == Position("resources.ordered.0.gpus", 4, 5)
    assert job.positions["run"] == Position("run", 5, 1)


def test_overrides_take_both_spellings() -> None:
    job = _job("run: x", "--resources.accelerators", "H100:2", "--envs.X=y=z", "--envs.EMPTY", "")
    assert (job.resources.accelerators, job.envs) == ("H100:2", {"X": "y=z", "EMPTY": None})


def test_overrides_are_yaml_where_they_can_be() -> None:
    job = _job(
        "run: x", "--resources.accelerators", "{A100: 2}", "--resources.ports", "[1, 2]", "--run", "@odd: ["
    )
    assert (job.resources.accelerators, job.resources.ports, job.run) == ({"A100": 2}, [1, 2], "@odd: [")


def test_numbers_given_for_text_are_text() -> None:
    job = _job("run: x", "--name", "2026", "--setup", "true")
    assert (job.name, job.setup) == ("2026", "true")


def test_override_makes_what_is_missing_above_it() -> None:
    assert _job("resources: null\nrun: x", "--resources.labels.team", "a").resources.labels == {"team": "a"}


def test_override_into_a_scalar_is_refused() -> None:
    with pytest.raises(JobFileError, match=r"--name\.x goes into something that is no mapping"):
        _job("name: a\nrun: x", "--name.x", "1")


def test_override_does_not_change_an_anchor_elsewhere() -> None:
    job = _job("envs: &e {A: '1'}\nsecrets: *e\nrun: x", "--envs.A", "2")
    assert (job.envs, job.secrets) == ({"A": "2"}, {"A": "1"})


@pytest.mark.parametrize("words", [("name", "x"), ("--name",), ("--",), ("-n", "x")])
def test_words_that_are_no_override(words: tuple[str, ...]) -> None:
    with pytest.raises(UsageError):
        _job("run: x", *words)


def test_config_reads_itself(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("name: a\nrun: x\n")
    assert JobConfig.from_yaml(file, ["--name", "b"]) == load_job(file, overrides=["--name=b"])


def test_a_representation_shows_no_values() -> None:
    assert "canary" not in repr(_job("envs: {A: canary}\nsecrets: {B: canary}\nrun: x"))
