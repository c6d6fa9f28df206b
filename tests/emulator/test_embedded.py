"""An engine within a process: soon there, and gone for good."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from typing import TYPE_CHECKING

import pytest

from trebuchet.emulator.aftermath import clear_abandoned
from trebuchet.emulator.embedded import EmbeddedEngine

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
import sys
from pathlib import Path
from trebuchet.emulator.embedded import EmbeddedEngine
engine = EmbeddedEngine(Path(sys.argv[1]) / "state", layers=Path(sys.argv[1]) / "layers")
engine.start()
print(*sorted({"aiohttp", "modal", "trebuchet.emulator.images.pull"} & set(sys.modules)))
engine.stop()
"""


def test_a_start_imports_nothing_that_few_tests_need(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    assert subprocess.check_output(argv, text=True, timeout=60).strip() == ""


@pytest.mark.parametrize("seconds", [0.0, 0.2, 1.0])
def test_one_that_ends_soon_leaves_no_half_of_a_layer(tmp_path: Path, seconds: float) -> None:
    program = PROGRAM.replace("engine.stop()", f"import time; time.sleep({seconds}); engine.stop()")
    ended = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    assert ended.stderr == ""
    assert not list((tmp_path / "layers").glob("*making*"))


def test_its_pages_are_there_for_who_comes(tmp_path: Path) -> None:
    engine = EmbeddedEngine(tmp_path / "state", layers=tmp_path / "layers")
    endpoint = engine.start()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for _ in range(2):
        request = urllib.request.Request(f"{endpoint.url}/_trebuchet/health")
        request.add_header("Authorization", f"Bearer {endpoint.token_secret}")
        with opener.open(request, timeout=20) as answer:
            assert answer.read() == b'{"alive": 0}'
    engine.stop()
    assert not (tmp_path / "state").exists()


def test_only_the_state_of_an_engine_that_is_gone_counts_as_abandoned(tmp_path: Path) -> None:
    engine = EmbeddedEngine(tmp_path / "engine-lives", layers=tmp_path / "layers")
    engine.start()
    (tmp_path / "engine-of-another-kind").mkdir()
    (tmp_path / "engine-elsewhere").symlink_to(tmp_path / "engine-gone")
    assemble_and_leave = PROGRAM.replace(
        "engine.stop()", "import os; os.kill(engine._guard.pid, 9); os._exit(0)"
    )
    program = assemble_and_leave.replace('"state"', '"engine-gone"')
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], timeout=60, check=True)
    assert (tmp_path / "engine-gone").is_dir()
    clear_abandoned(tmp_path, "engine-*")
    left = sorted(path.name for path in tmp_path.glob("engine-*"))
    assert left == ["engine-elsewhere", "engine-lives", "engine-of-another-kind"]
    assert engine.alive() == []
    engine.stop()
