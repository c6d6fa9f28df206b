"""Ten thousand short sandboxes through one engine, whose memory and open files stay as they were."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.engine import Engine

AT_ONCE = 8
ROUND = 1000
ROUNDS = 10
MORE_MEMORY_MIB = 40
MORE_FILES = 50


@pytest.mark.proof
@pytest.mark.timeout(1800)
def test_memory_and_open_files_stay_flat(own_engine: Engine) -> None:
    def one(_: int) -> int | None:
        sandbox = own_engine.create("true")
        sandbox.wait()
        return sandbox.returncode

    seen: list[tuple[int, int]] = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for number in range(1, ROUNDS + 1):
            assert set(pool.map(one, range(ROUND))) == {0}
            seen.append(footprint(own_engine.endpoint.pid))
            print(f"{number * ROUND} sandboxes: {seen[-1][0]} MiB, {seen[-1][1]} files open", flush=True)
    # What the engine remembers of finished sandboxes is bounded, and full after the first round.
    assert seen[-1][0] <= seen[0][0] + MORE_MEMORY_MIB
    assert seen[-1][1] <= seen[0][1] + MORE_FILES


def footprint(pid: int) -> tuple[int, int]:
    """Resident memory in MiB, and open files."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 2**20, len(list(Path(f"/proc/{pid}/fd").iterdir()))
