"""Ctrl-C while a launch has no id yet: nothing is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from support.engine import wait_until
from trebuchet.status import JobState

if TYPE_CHECKING:
    from support.bench import Bench

CHILD = Path(__file__).parents[2] / "support" / "child.py"


@pytest.mark.parametrize(("gpu", "call"), [(None, "SandboxCreateV2"), ("H100", "SandboxCreate")])
def test_an_interrupted_launch_leaves_nothing(bench: Bench, gpu: str | None, call: str) -> None:
    key = f"i-{uuid4().hex[:8]}"
    bench.engine.clear_calls()
    bench.engine.set_faults({"call": call, "action": "delay", "seconds": 2.0})
    words = [sys.executable, str(CHILD), "up", key, *([gpu] if gpu else [])]
    child = subprocess.Popen(
        words, env={**os.environ, "TREBUCHET_HOME": str(bench.home)}, stderr=subprocess.PIPE
    )
    ledger = bench.launcher.contexts.ledger
    wait_until(lambda: (job := ledger.job(key)) is not None and job.current.asked_at is not None)
    wait_until(lambda: bench.engine.calls().get(call))
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=30)
    assert b"KeyboardInterrupt" in said
    wait_until(lambda: bench.another().find(key).done)
    assert bench.another().find(key).state is JobState.CANCELLED
    assert bench.engine_listed("key", key) == []
