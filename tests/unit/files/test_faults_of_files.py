"""No file ends in a traceback: each fault is told with its place."""

from __future__ import annotations

import os
import resource
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from trebuchet.errors import JobFileError
from trebuchet.files import job_from_text, load_job


def _fault(path: Path) -> str:
    with pytest.raises(JobFileError) as caught:
        load_job(path)
    return str(caught.value)


def _fault_of(text: str, **options: object) -> str:
    with pytest.raises(JobFileError) as caught:
        job_from_text(text, "job.yaml", **options)  # type: ignore[arg-type]
    return str(caught.value)


def test_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    assert "There is no such file" in _fault(tmp_path / "nowhere.yaml")


def test_folder_is_said_to_be_one(tmp_path: Path) -> None:
    assert "a folder" in _fault(tmp_path)


def test_path_that_no_file_can_have() -> None:
    assert "cannot be read" in _fault(Path("a\0b"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.touch(mode=0)
    assert "cannot be read" in _fault(file)


def test_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    with file.open("wb") as sparse:
        sparse.truncate(100 * 1024 * 1024)
    assert "104,857,600 bytes" in _fault(file)


def test_endless_device_is_read_no_further_than_a_job_file() -> None:
    assert "more than 4,194,304 bytes" in _fault(Path("/dev/zero"))


def test_a_pipe_is_read_once_somebody_writes_to_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    late = threading.Timer(0.2, lambda: (tmp_path / "pipe").write_text("num_nodes: 1\nrun: hello\n"))
    late.start()
    assert load_job(tmp_path / "pipe").run == "hello"
    late.join()


def test_a_pipe_that_nobody_writes_to_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trebuchet.files.source.PIPE_PATIENCE_S", 0.1)
    os.mkfifo(tmp_path / "pipe")
    assert "nothing was written to it in 0.1 seconds" in _fault(tmp_path / "pipe")


def test_a_pipe_is_read_where_many_files_are_open(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    late = threading.Timer(0.2, lambda: (tmp_path / "pipe").write_text("run: hello\n"))
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ExitStack() as opened:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(4_096, before[1]), before[1]))
        opened.callback(resource.setrlimit, resource.RLIMIT_NOFILE, before)
        while opened.enter_context(open(os.devnull, "rb")).fileno() < 1_024:  # noqa: PTH123 - many of them
            pass
        late.start()
        assert load_job(tmp_path / "pipe").run == "hello"
        late.join()


def test_bytes_that_are_not_utf_8_have_a_place(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_bytes(b"name: x\nrun: caf\xe9\n")
    assert f"{file}:2:9: A byte stands here that is not UTF-8." in _fault(file)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_byte_order_marks_are_understood(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "job.yaml"
    file.write_bytes("name: é\nrun: x\n".encode(encoding))
    assert load_job(file).name == "é"


@pytest.mark.parametrize(
    ("content", "format_name"),
    [
        (b"\x7fELF\x02\x01\x01\0", "a Linux program (ELF)"),
        (b"PK\x03\x04abc", "a ZIP archive"),
        (b"\x89PNG\r\n\x1a\n", "a PNG image"),
        (b"abc\0def", "a binary file"),
        (b"#!/bin/bash\necho hi\n", "a shell script"),
        (b"#!/bin/bash\n#SBATCH -N 2\nsrun x\n", "a batch script (Slurm or PBS)"),
        (b"#!/usr/bin/env python3\nprint(1)\n", "a Python program"),
        (b"import os\n\nprint(os.name)\n", "a Python program"),
        (b"# a comment\n[project]\nname = 'x'\n", "TOML or an INI file"),
        (b"name = 'x'\nrun = 'y'\n", "TOML or an INI file"),
        (b"<!DOCTYPE html><html></html>", "HTML or XML"),
    ],
)
def test_other_formats_are_recognised(tmp_path: Path, content: bytes, format_name: str) -> None:
    file = tmp_path / "job"
    file.write_bytes(content)
    assert f"This looks like {format_name}, not like a job file." in _fault(file)


def test_json_is_yaml() -> None:
    job = job_from_text('{"name": "x", "run": "echo", "resources": {"cpus": 4}}', "job.json")
    assert (job.name, job.run, job.resources.cpus) == ("x", "echo", 4)


@pytest.mark.parametrize("loader", ["CSafeLoader", "SafeLoader"])
def test_deep_nesting_is_refused(monkeypatch: pytest.MonkeyPatch, loader: str) -> None:
    if not hasattr(yaml, loader):
        pytest.skip("PyYAML comes without libyaml here")
    monkeypatch.setattr("trebuchet.files.tree._LOADER", getattr(yaml, loader))
    block = "\n".join(f"{'  ' * depth}a:" for depth in range(60))
    for text in ("[" * 100_000, "envs: " + "{a: " * 60 + "}" * 60, "- " * 2_000, block):
        assert "Values are nested deeper than 40 levels." in _fault_of(text)


def test_aliases_that_multiply_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    assert "stands for more than" in _fault_of("\n".join(lines))


def test_alias_inside_what_it_stands_for_is_refused() -> None:
    assert "contains it" in _fault_of("envs: &a {x: *a}")
    assert "stands for nothing above it" in _fault_of("run: *nothing")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("run: x\nresources:\n\tcpus: 4\n", "3:1: This is not YAML: a tab where only spaces may indent"),
        ("run: @x\n", "1:6: This is not YAML: a value cannot begin with @"),
        ("name: a: b\n", "1:8: This is not YAML: a colon where none is expected"),
        ("run: 'x\n", "1:"),
        ("run: x\0y\n", "1:7: A character stands here that no text holds"),
        ("%YAML 3.0\n---\nrun: x\n", "This is not YAML"),
        ("run: !!python/object/apply:os.system ['echo hi']\n", "The tag"),
        ("run: !secret x\n", "The tag '!secret' has no meaning here"),
        ("envs: {A: 2026-99-99}\n", "This looks like a date, and is none"),
        (f"num_nodes: {'9' * 5000}\n", "This looks like a number, and is none"),
        (f"num_nodes: 0x{'f' * 5000}\n", "This looks like a number, and is none"),
        ("? [a, b]\n: c\n", "A key must be text"),
        ("yes: x\n", "A key must be text, and this one is True to YAML"),
        ("envs: {<<: 3}\nrun: x\n", "<< merges mappings"),
        ("- run: x\n", "this is a list"),
        ("hello\n", "this is a single value"),
        ("", "The file is empty"),
        ("---\n---\n", "The file is empty"),
        ("envs: {A: [1]}\nrun: x\n", "'envs.A' must be text, and is a list"),
        (
            "resources: {memory: .inf}\nrun: x\n",
            "'resources.memory' must be a number or text, and is infinite or no number at all.",
        ),
    ],
)
def test_fault_is_told_with_its_place(text: str, said: str) -> None:
    assert said in _fault_of(text)


def test_all_faults_are_told_at_once_in_the_order_of_the_file() -> None:
    text = "nam: x\ntimeout: soon\nenvs: {A: 1, A: 2}\nresources: {cpus: [1]}\n"
    with pytest.raises(JobFileError) as caught:
        job_from_text(text, "job.yaml")
    assert [problem.line for problem in caught.value.problems] == [1, 2, 3, 4]


def test_thousands_of_faults_are_cut_short() -> None:
    with pytest.raises(JobFileError) as caught:
        job_from_text("run: x\n" + "".join(f"key{n}: x\n" for n in range(10_000)), "job.yaml")
    assert len(caught.value.problems) == 50


def test_values_of_variables_are_never_told() -> None:
    for text in (
        "envs: {A: [canary]}",
        "secrets: {A: {canary: x}}",
        "envs: {A: !x canary}",
        "envs: {A: canary, A: canary}",
    ):
        assert "canary" not in _fault_of(text)
