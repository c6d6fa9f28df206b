"""Control groups: what can be divided, and that a sandbox is in its own from its first process to its last.

What a group's limits do needs its controllers, and those of version 2 are lent to few test machines: the
tests that need them say so when they skip.
"""

from __future__ import annotations

import os
import signal
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.sandboxes import Sandboxes, parent_of, until
from trebuchet.emulator.process import cgroups
from trebuchet.emulator.process.cgroups import Cgroups, find_cgroups, group_order
from trebuchet.emulator.process.limits import Limits
from trebuchet.emulator.process.spec import ProcessSpec

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def bare() -> Iterator[Cgroups]:
    """A group of the kernel's, in which processes can be put and nothing be limited."""
    mount = cgroups._mount_point()
    if mount is None or not os.access(mount, os.W_OK):
        pytest.skip("there is no control group of version 2 here that may be written to")
    folder = mount / f"test-{uuid.uuid4().hex}"
    folder.mkdir()
    yield Cgroups(folder=folder, controllers=frozenset())
    folder.rmdir()


@pytest.fixture
def lent() -> Cgroups:
    found = find_cgroups()
    if found is None:
        pytest.skip("no control group of version 2 with a memory controller is lent to this user")
    return found


@pytest.fixture
def with_groups(monkeypatch: pytest.MonkeyPatch, bare: Cgroups) -> Cgroups:
    monkeypatch.setattr("trebuchet.emulator.process.orders.find_cgroups", lambda: bare)
    return bare


async def supervisor(sandboxes: Sandboxes, folder: Path) -> int:
    init = sandboxes.host.state(folder).init_pid
    assert init is not None
    boxed = (await sandboxes.host.isolation()).mode == "bubblewrap"
    return parent_of(parent_of(init)) if boxed else parent_of(init)


def test_all_of_a_sandbox_is_in_its_group_from_the_start_and_the_group_goes_with_it(drive, with_groups):
    async def body(sandboxes):
        folder = await sandboxes.start("cat /proc/self/cgroup; sleep 600 & echo up; wait")
        await sandboxes.printed(folder, b"up")
        records, _ = sandboxes.host.read_log(folder)
        own = with_groups.folder / folder.name
        said = b"".join(record.data for record in records).decode()
        assert any(line.endswith(f"/{own.name}") for line in said.splitlines() if line.startswith("0::"))
        entered = await sandboxes.exec(folder, "cat /proc/self/cgroup")
        assert f"/{own.name}\n" in entered.stdout.decode()
        members = set((own / "cgroup.procs").read_text().split())
        assert str(sandboxes.host.state(folder).init_pid) in members
        assert str(await supervisor(sandboxes, folder)) not in members
        sandboxes.host.terminate(folder)
        await sandboxes.host.wait_end(folder, 20)
        assert not own.exists()

    drive(body)


def test_what_a_killed_supervisor_leaves_is_removed(drive, with_groups):
    async def body(sandboxes):
        folder = await sandboxes.start("echo up; sleep 600")
        await sandboxes.printed(folder, b"up")
        os.kill(await supervisor(sandboxes, folder), signal.SIGKILL)
        assert (await sandboxes.host.wait_end(folder, 20)).phase == "lost"
        await sandboxes.host.cleanup(folder)
        await until(lambda: not (with_groups.folder / folder.name).exists())

    drive(body)


def test_a_group_that_cannot_be_made_leaves_the_limits_to_the_watcher(drive, monkeypatch, tmp_path):
    nowhere = Cgroups(folder=tmp_path / "nowhere", controllers=frozenset({"memory"}))
    monkeypatch.setattr("trebuchet.emulator.process.orders.find_cgroups", lambda: nowhere)
    take = "python3 -c 'import time; held = bytearray(300 << 20); time.sleep(60)'"

    async def body(sandboxes):
        assert (await sandboxes.run(take, memory_mib=100)).state.cause == "out_of_memory"

    drive(body)


def test_limits_are_written_as_the_kernel_reads_them():
    where = Cgroups(folder=Path("/cg"), controllers=frozenset({"memory", "cpu", "pids"}))
    spec = ProcessSpec(id="sb-1", argv=("true",), memory_mib=100, cpus=1.5, wants_cpus=0.5)
    order = group_order(where, spec, Limits(processes=10))
    assert order == {
        "folder": "/cg/sb-1",
        "limits": {
            "memory.max": "104857600",
            "memory.swap.max": "0",
            "memory.oom.group": "1",
            "cpu.max": "300000 100000",
            "cpu.weight": "50",
            "pids.max": "74",
        },
    }
    free = group_order(where, ProcessSpec(id="sb-2", argv=("true",)), Limits(processes=10))
    assert free["limits"] == {"pids.max": "74"}


@pytest.mark.parametrize(
    ("lends", "writable", "found"),
    [
        ("memory cpu pids", True, True),
        ("memory", True, True),
        ("cpu pids", True, False),
        ("memory", False, False),
    ],
)
def test_only_a_group_that_lends_memory_already_is_divided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lends: str, writable: bool, found: bool
):
    own = tmp_path / "user.slice" / "session.scope"
    own.mkdir(parents=True)
    for folder, text in ((own, ""), (own.parent, lends), (tmp_path, "")):
        (folder / "cgroup.subtree_control").write_text(text)
    (tmp_path / "mountinfo").write_text(f"30 1 0:26 / {tmp_path} rw - cgroup2 cgroup2 rw\n")
    (tmp_path / "cgroup").write_text("1:name=systemd:/\n0::/user.slice/session.scope\n")
    monkeypatch.setattr(cgroups, "_MOUNTS", tmp_path / "mountinfo")
    monkeypatch.setattr(cgroups, "_MEMBERSHIP", tmp_path / "cgroup")
    monkeypatch.setattr(cgroups, "_takes_processes", lambda folder: writable)
    divided = find_cgroups()
    assert (divided is not None) == found
    if divided is not None:
        assert divided.folder == own.parent / "trebuchet"
        assert divided.controllers == set(lends.split())
    assert (own.parent / "cgroup.subtree_control").read_text() == lends


def test_the_kernel_ends_one_that_takes_more_memory_than_it_may(run_script, lent):
    take = "python3 -c 'held = bytearray({mib} << 20)'"
    ended = run_script(take.format(mib=300), memory_mib=100)
    assert (ended.state.exit_code, ended.state.cause) == (137, "out_of_memory")
    assert ended.state.message == "The sandbox took more than its 100 MiB of memory."
    assert b"It was ended." in ended.notices
    assert run_script(take.format(mib=50), memory_mib=100).state.cause == "exit"
    files = "head -c 200M /dev/zero > /dev/shm/file"
    assert run_script(files, memory_mib=100).state.cause == "out_of_memory"


def test_the_kernel_limits_processor_time_and_processes(run_script, drive, lent):
    spin = (
        "import time\n"
        "end = time.monotonic() + 2\n"
        "while time.monotonic() < end: pass\n"
        "print(time.process_time())"
    )
    ended = run_script(f"python3 -c '{spin}'", cpus=0.1)
    assert float(ended.stdout) < 1.2  # a fifth of a thread, and a period or two before it is held

    async def body(sandboxes):
        forks = "import os, time\nfor _ in range(1000): os.fork() or time.sleep(600)\n"
        ended = await sandboxes.run(f"python3 -c '{forks}'")
        assert ended.state.cause in {"too_many_processes", "exit"}

    drive(body, limits=Limits(processes=50))
