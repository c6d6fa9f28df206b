"""The daemon may die at any moment, and a later one goes on."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from support.sandboxes import until

_COUNT = 20
_DAEMON = """
import asyncio, sys
from pathlib import Path
from trebuchet.emulator.process.host import ProcessHost
from trebuchet.emulator.process.spec import ProcessSpec

async def main(state, folders):
    async with ProcessHost(state) as host:
        for number, folder in enumerate(folders):
            script = "for n in $(seq 150); do echo line $n; sleep 0.01; done; read word; echo $word >&2; "
            script += f"exit {number}"
            await host.start(ProcessSpec(id=folder.name, argv=("bash", "-c", script)), folder)
        print("started", flush=True)
        await asyncio.sleep(1000)

asyncio.run(main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]]))
"""


def _killed_daemon(state, folders, signals_to=os.kill):
    daemon = subprocess.Popen(
        [sys.executable, "-c", _DAEMON, str(state), *map(str, folders)],
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert daemon.stdout is not None
    assert daemon.stdout.readline() == b"started\n"
    signals_to(daemon.pid, signal.SIGKILL)
    daemon.wait()
    daemon.stdout.close()


def test_sandboxes_outlive_a_killed_daemon_and_the_next_one_loses_nothing_of_them(drive, engine_state):
    async def body(sandboxes):
        folders = [
            engine_state / "sandboxes" / f"survivor-{time.time_ns()}-{number}" for number in range(_COUNT)
        ]
        await asyncio.to_thread(_killed_daemon, engine_state, folders)
        assert {sandboxes.host.state(folder).phase for folder in folders} <= {"starting", "running"}
        for folder in folders:
            inside = await sandboxes.exec(folder, "echo still here")
            assert inside.stdout == b"still here\n"
            await sandboxes.host.write_stdin(folder, f"word-{folder.name}\n".encode(), eof=True)
        for number, ended in enumerate(await asyncio.gather(*map(sandboxes.ended, folders))):
            assert ended.stdout == b"".join(b"line %d\n" % n for n in range(1, 151))
            assert ended.stderr == f"word-{ended.folder.name}\n".encode()
            assert (ended.state.exit_code, ended.state.cause) == (number, "exit")

    drive(body)


def test_a_signal_to_the_daemons_whole_group_does_not_reach_its_sandboxes(drive, engine_state):
    async def body(sandboxes):
        folder = engine_state / "sandboxes" / f"group-{time.time_ns()}"
        await asyncio.to_thread(_killed_daemon, engine_state, [folder], os.killpg)
        assert sandboxes.host.state(folder).phase in {"starting", "running"}
        sandboxes.host.terminate(folder)
        assert (await sandboxes.host.wait_end(folder, 10)).cause == "terminated"

    drive(body)


def test_a_time_limit_holds_while_no_daemon_lives(engine_state, drive):
    folders = []

    async def start(sandboxes):
        folders.append(await sandboxes.start("sleep 1000", timeout_s=0.5))

    async def look(sandboxes):
        await until((folders[0] / "result").exists)
        assert sandboxes.host.state(folders[0]).cause == "timeout"

    drive(start)
    drive(look)


def test_a_killed_fork_server_is_replaced(drive):
    async def body(sandboxes):
        assert (await sandboxes.run("echo 1")).stdout == b"1\n"
        server = sandboxes.host._forks._server
        os.kill(server.pid, signal.SIGKILL)
        server.wait()
        assert (await sandboxes.run("echo 2")).stdout == b"2\n"

    drive(body)


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_sandboxes_that_ended_leave_no_descriptor_open(drive):
    async def body(sandboxes):
        await sandboxes.run("true")
        before = _descriptors()
        for _ in range(5):
            await asyncio.gather(*(sandboxes.run("true") for _ in range(8)))
        await until(lambda: _descriptors() <= before + 2)

    drive(body)
