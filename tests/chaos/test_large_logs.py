"""A log of any size is followed and archived in little memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.bench import Bench

FOLLOW = """
import json, os, sys, time
import modal
from trebuchet.launcher import Launcher
launcher = Launcher()
launcher.client("local").get_call(sys.argv[1]).poll()
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
before, most, size, worked = resident(), 0, 0, time.process_time()
for number, entry in enumerate(launcher.logs(sys.argv[1], follow=True)):
    size += len(entry.message)
    if number % 16 == 0:
        most = max(most, resident())
print(json.dumps({"size": size, "above": max(most, resident()) - before, "s": time.process_time() - worked}))
"""


def check(bench: Bench, size: int) -> None:
    job = bench.up(f"yes {'x' * 99} | head -c {size}")
    bench.ended(job, seconds=900)
    for source in ("the engine", "the archive"):
        done = subprocess.run(
            [sys.executable, "-c", FOLLOW, job.id],
            env={**os.environ, "TREBUCHET_HOME": str(bench.home)},
            check=True,
            capture_output=True,
        )
        found = json.loads(done.stdout)
        assert found["size"] == size, source
        assert found["above"] <= 64 << 20, source
        assert size / found["s"] >= 30e6, source  # Of this process's own time: others may need the machine.


def test_memory_does_not_grow_with_the_log(bench: Bench) -> None:
    check(bench, 100_000_000)


@pytest.mark.proof
@pytest.mark.timeout(3600)
def test_a_gigabyte(bench: Bench) -> None:
    check(bench, 1_000_000_000)
