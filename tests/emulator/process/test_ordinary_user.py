"""All of this once more as an ordinary user, where root runs the tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

_NOBODY = 65534
_TESTS = Path(__file__).parent
_ROOT = _TESTS.parents[2]
_TIME_S = 300


def _as_nobody(argv: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    search = [str(_ROOT / "src"), *(entry for entry in sys.path if entry.endswith("site-packages"))]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PYTEST")},
        "HOME": str(folder),
        "PYTHONPATH": os.pathsep.join(search),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return subprocess.run(
        argv,
        user=_NOBODY,
        group=_NOBODY,
        extra_groups=[],
        env=environment,
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=_TIME_S,
    )


def _interpreter(folder: Path) -> str:
    """A Python of this version that an ordinary user can run, and that finds pytest."""
    for candidate in (sys.executable, shutil.which("python3", path="/usr/bin:/usr/local/bin")):
        if candidate is None:
            continue
        question = "import sys, pytest, trebuchet; print(sys.version_info[:2])"
        try:
            answer = _as_nobody([candidate, "-c", question], folder)
        except OSError:
            continue
        if answer.stdout.strip() == str(sys.version_info[:2]):
            return candidate
    pytest.skip("no Python of this version can be run by an ordinary user here")


@pytest.fixture
def folder():
    """A folder of nobody's own: pytest's lies within one that only root may enter."""
    with tempfile.TemporaryDirectory(prefix="trebuchet-nobody-") as name:
        os.chown(name, _NOBODY, _NOBODY)
        yield Path(name)


@pytest.mark.skipif(os.geteuid() != 0, reason="the tests run as an ordinary user already")
@pytest.mark.timeout(_TIME_S)
def test_everything_holds_for_an_ordinary_user(folder):
    options = ["-n", "0", "-p", "no:cacheprovider", "--tb=short", f"--basetemp={folder}/run"]
    ended = _as_nobody([_interpreter(folder), "-m", "pytest", *options, str(_TESTS)], folder)
    assert ended.returncode == 0, ended.stdout[-6000:] + ended.stderr[-2000:]
    assert " passed" in ended.stdout
