"""Whose job file one is: by its fields, then by its scripts, and else Oumi's, which is said."""

from __future__ import annotations

from textwrap import dedent

import pytest

from trebuchet.files.load import job_from_text
from trebuchet.plan import make_plan

TESTS_EXIT_CODE = """
    setup: |
      conda activate there
      if [ $? -ne 0 ]; then conda create -n there; fi
    run: python train.py
"""
ENTERS_TWICE = """
    setup: |
      git clone https://example.org/repo
      cd repo
      pip install .
    run: |
      cd repo
      python train.py
"""


def told(text: str, task: str | None = None) -> tuple[str, bool]:
    job = job_from_text(dedent(text), "job.yaml", task=task)
    return job.dialect, job.dialect_told


@pytest.mark.parametrize(
    "text",
    [
        TESTS_EXIT_CODE,
        ENTERS_TWICE,
        "setup: pip install x\nrun: 'python a.py; [[ $? == 0 ]] && echo well'",
        "setup: pip install x\nrun: 'python a.py; if (( $? )); then exit 1; fi'",
        f"    resources: {{cloud: gcp}}{ENTERS_TWICE}",
    ],
)
def test_scripts_for_two_shells_are_skypilots(text: str) -> None:
    assert told(text) == ("skypilot", True)


@pytest.mark.parametrize("rest", ["", "\nrun: ''", "\nresources: {cloud: gcp}"])
def test_a_setup_without_a_run_is_skypilots(rest: str) -> None:
    assert told(f"setup: pip install x{rest}") == ("skypilot", True)


@pytest.mark.parametrize(
    "text",
    [
        "setup: cd /opt/tool\nrun: cd /opt/tool",
        "setup: cd ~/tool\nrun: cd ~/tool",
        "setup: pip install x || echo $?\nrun: echo",
        "run: 'false; if [ $? -ne 0 ]; then echo well; fi'",
        "setup: 'cd repo-of-mine'\nrun: cd repo",
        "setup: pip install x\nrun: echo",
    ],
)
def test_a_file_that_could_be_either_is_oumis(text: str) -> None:
    assert told(text) == ("oumi", False)


@pytest.mark.parametrize("own", ["working_dir: .", "user: me", "storage_mounts: {/data: {source: gs://b}}"])
def test_a_field_of_oumis_outweighs_the_scripts(own: str) -> None:
    assert told(f"{own}\n{dedent(ENTERS_TWICE)}") == ("oumi", True)


@pytest.mark.parametrize(
    "field",
    ["secrets: {A: b}", "volumes: {/data: there}"],
)
@pytest.mark.parametrize(("cloud", "dialect"), [("gcp", "skypilot"), ("modal", "oumi"), ("local", "oumi")])
def test_fields_that_oumi_has_not_outweigh_a_rentable_clouds_name(
    field: str, cloud: str, dialect: str
) -> None:
    assert told(f"resources: {{cloud: {cloud}}}\n{field}\nrun: echo") == (dialect, True)


@pytest.mark.parametrize("several", ["{A10: 1, A100: 1}", "[A10, A100]"])
def test_several_accelerators_outweigh_a_rentable_clouds_name(several: str) -> None:
    text = f"resources: {{cloud: lambda, accelerators: {several}}}\nrun: echo"
    assert told(text) == ("skypilot", True)


@pytest.mark.parametrize("cloud", ["gcp", "modal"])
def test_a_clouds_name_alone_is_oumis(cloud: str) -> None:
    assert told(f"resources: {{cloud: {cloud}}}\nnum_nodes: 1\nsetup: a\nrun: echo") == ("oumi", True)


@pytest.mark.parametrize("header", ["", "name: both\nexecution: parallel\n---\n"])
def test_one_of_several_documents_is_skypilots(header: str) -> None:
    text = f"{header}name: one\nsetup: a\nrun: echo\n---\nname: two\nrun: echo"
    assert told(text, task="one") == ("skypilot", True)


def test_how_it_was_read_is_noted_where_it_was_a_guess_that_matters() -> None:
    def noted(text: str) -> bool:
        plan = make_plan(job_from_text(text, "job.yaml"), cloud="modal")
        return any("--dialect skypilot" in note.why for note in plan.notes)

    assert noted("setup: pip install x\nrun: echo")
    assert not noted("run: echo")
    assert not noted("resources: {cloud: modal}\nsetup: pip install x\nrun: echo")


def test_who_says_how_to_read_it_is_told_nothing() -> None:
    job = job_from_text("setup: pip install x\nrun: echo", "job.yaml", dialect="oumi")
    assert job.dialect_told
