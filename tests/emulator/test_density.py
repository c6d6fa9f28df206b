"""Five hundred sandboxes alive at once, each with its supervisor in a few megabytes."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.engine import wait_until
from support.sandboxes import supervisor_of
from trebuchet.emulator.process.supervise.appetite import descendants

if TYPE_CHECKING:
    from support.engine import Engine

MANY = 500
MOST_MIB_EACH = 10.0
AT_ONCE = 8


@pytest.mark.proof
@pytest.mark.timeout(900)
def test_five_hundred_live_at_once_in_ten_mebibytes_each(own_engine: Engine) -> None:
    live_at_once(own_engine, MANY)


def test_a_few_live_at_once_in_ten_mebibytes_each(own_engine: Engine) -> None:
    live_at_once(own_engine, 10)


def live_at_once(engine: Engine, count: int) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        sandboxes = list(pool.map(lambda _: engine.create("sleep", "3600"), range(count)))
    folders = [engine.state / "sandboxes" / sandbox.object_id / "process" for sandbox in sandboxes]
    wait_until(lambda: all((folder / "running").exists() for folder in folders), 300)
    supervisors = [supervisor_of(folder) for folder in folders]
    pids = {pid for supervisor in supervisors for pid in (supervisor, *descendants(supervisor))}
    each = sum(map(proportional_mib, pids)) / count
    print(f"{count} alive: {each:.1f} MiB each in {len(pids) / count:.0f} processes, supervisor included")
    assert len(set(supervisors)) == count
    assert each <= MOST_MIB_EACH
    for sandbox in (sandboxes[0], sandboxes[-1]):
        assert sandbox.exec("echo", "here").stdout.read() == "here\n"
    for sandbox in sandboxes:
        sandbox.terminate()
    wait_until(lambda: not any((engine.state / "alive").iterdir()), 300)


def proportional_mib(pid: int) -> float:
    """Memory of a process, what it shares counted by its part; nothing for one that has just gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0
