"""Running something as an ordinary user, where root runs the tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

NOBODY = 65534
_SOURCE = Path(__file__).parents[2] / "src"


@contextmanager
def folder_of_nobody() -> Iterator[Path]:
    """A folder of theirs: pytest's lie within one that only root may enter."""
    with tempfile.TemporaryDirectory(prefix="trebuchet-nobody-") as name:
        os.chown(name, NOBODY, NOBODY)
        yield Path(name)


def run_as_nobody(
    argv: list[str], folder: Path, *, timeout_s: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run a command with a folder for its home and this Python's packages on its path."""
    search = [str(_SOURCE), *(entry for entry in sys.path if entry.endswith("site-packages"))]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "TREBUCHET"))},
        "HOME": str(folder),
        "PYTHONPATH": os.pathsep.join(search),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return subprocess.run(
        argv,
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
    )


def python_of_nobody(folder: Path, *, needs: str = "trebuchet") -> str:
    """A Python of this version that an ordinary user can run, and that finds both packages; skips without."""
    if os.geteuid() != 0:
        pytest.skip("the tests run as an ordinary user already")
    question = f"import sys, trebuchet, {needs}; print(sys.version_info[:2])"
    for candidate in (sys.executable, shutil.which("python3", path="/usr/bin:/usr/local/bin")):
        try:
            answer = run_as_nobody([candidate or "", "-c", question], folder)
        except OSError:
            continue
        if answer.stdout.strip() == str(sys.version_info[:2]):
            return candidate or ""
    pytest.skip("no Python of this version can be run by an ordinary user here")


def assert_all_pass_as_nobody(*tests: str | Path, timeout_s: float) -> None:
    """Run tests, whole files or single ones, once more as an ordinary user."""
    with folder_of_nobody() as folder:
        python = python_of_nobody(folder, needs="pytest")
        options = ["-n", "0", "-p", "no:cacheprovider", "--tb=short", f"--basetemp={folder}/run"]
        named = ["--rootdir", str(_SOURCE.parent), *map(str, tests)]
        ended = run_as_nobody([python, "-m", "pytest", *options, *named], folder, timeout_s=timeout_s)
    assert ended.returncode == 0, ended.stdout[-6000:] + ended.stderr[-2000:]
    assert " passed" in ended.stdout
