"""A command inside a running sandbox, with the caller's own streams."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Bench

CALLER = """
import sys
from pathlib import Path
from trebuchet.engines import engine_for
from trebuchet.settings import Settings
cloud, home, sandbox_id, *argv = sys.argv[1:]
engine = engine_for(cloud, Settings(home=Path(home), app_name="trebuchet-conformance"))
sys.exit(engine.exec(sandbox_id, argv))
"""


def run_in(
    bench: Bench, sandbox_id: str, *argv: str, given: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", CALLER, bench.cloud, str(bench.settings.home), sandbox_id, *argv]
    return subprocess.run(command, input=given, capture_output=True, timeout=60, check=False)


def test_streams_and_exit_code_are_the_commands_own(bench: Bench) -> None:
    sandbox_id = bench.create("sleep", "100")

    done = run_in(bench, sandbox_id, "bash", "-c", "echo out; echo err >&2; exit 5")

    assert (done.stdout, done.stderr, done.returncode) == (b"out\n", b"err\n", 5)


def test_input_is_passed_on_to_its_end(bench: Bench) -> None:
    sandbox_id = bench.create("sleep", "100")
    given = bytes(range(256)) * 1000

    assert run_in(bench, sandbox_id, "cat", given=given).stdout == given
