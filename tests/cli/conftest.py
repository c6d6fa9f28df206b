"""The command line as a process of its own, as a shell starts it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True)
class Answer:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def start_command_line(*arguments: str, cwd: Path | None = None, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "trebuchet", *arguments],
        cwd=cwd,
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )


@pytest.fixture
def start() -> Callable[..., subprocess.Popen[str]]:
    """Start the command line, to be watched and signalled."""
    return start_command_line


@pytest.fixture
def trebuchet(tmp_path: Path) -> Callable[..., Answer]:
    """Run the command line to its end, in the test's own folder."""

    def run(*arguments: str, **variables: str) -> Answer:
        process = start_command_line(*arguments, cwd=tmp_path, **variables)
        out, err = process.communicate(timeout=100)
        return Answer(process.returncode, out, err)

    return run


@pytest.fixture
def cluster() -> str:
    """A label that no other test has."""
    return f"c-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def job_file(tmp_path: Path) -> Callable[..., str]:
    """Write a job file whose `run` is this script; its path."""

    def write(run: str, name: str = "job", **fields: Any) -> str:
        path = tmp_path / f"{name}.yaml"
        path.write_text(json.dumps({"name": name, "resources": {"cloud": "local"}, **fields, "run": run}))
        return str(path)

    return write
