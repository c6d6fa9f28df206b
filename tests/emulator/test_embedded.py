"""An engine within a process: soon there, and gone for good."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from typing import TYPE_CHECKING

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
