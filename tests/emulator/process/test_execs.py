"""Further commands inside a running sandbox."""

from __future__ import annotations

import asyncio
import time

import pytest

from support.sandboxes import processes_with, until
from trebuchet.emulator.process.errors import NotRunningError


def test_it_sees_the_same_world_and_has_streams_and_a_code_of_its_own(drive):
    async def body(sandboxes):
        folder = await sandboxes.start("echo made > /tmp/file; cd /opt; echo up; read x", env={"A": "1"})
        await sandboxes.printed(folder, b"up")
        ended = await sandboxes.exec(
            folder,
            "cat /tmp/file; pwd; echo $A$B; echo err >&2; id -u; exit 9",
            env={"B": "2"},
            workdir="/usr",
        )
        assert ended.stdout == b"made\n/usr\n12\n0\n"
        assert ended.stderr == b"err\n"
        assert (ended.state.exit_code, ended.state.cause) == (9, "exit")
        sandboxes.host.terminate(folder)
        assert (await sandboxes.ended(folder)).stdout == b"up\n"

    drive(body)


def test_it_has_no_more_power_than_the_sandbox(drive):
    async def body(sandboxes):
        folder = await sandboxes.start("grep -E 'Cap(Prm|Eff)|NoNewPrivs' /proc/self/status; read x")
        await sandboxes.printed(folder, b"NoNewPrivs")
        ended = await sandboxes.exec(
            folder,
            "grep -E 'Cap(Prm|Eff)|NoNewPrivs' /proc/self/status; ls -A /home; ls /proc | grep -c '^[0-9]'",
        )
        own = sandboxes.host.read_log(folder)[0][0].data
        assert ended.stdout.startswith(own)
        assert int(ended.stdout.split()[-1]) < 10
        sandboxes.host.terminate(folder)

    drive(body)


def test_right_after_the_start_it_waits_until_there_is_something_to_enter(drive):
    async def body(sandboxes):
        for _ in range(5):
            folder = await sandboxes.start("sleep 1000")
            ended = await sandboxes.exec(folder, "echo in; ls -d /usr/bin")
            assert ended.stdout == b"in\n/usr/bin\n", ended.state
            sandboxes.host.terminate(folder)

    drive(body)


def test_many_at_once_each_get_their_own_input_and_output(drive):
    async def body(sandboxes):
        folder = await sandboxes.start("sleep 1000")

        async def one(number: int) -> None:
            inside = await sandboxes.host.exec(folder, ("cat",))
            await sandboxes.host.write_stdin(inside, f"{number}\n".encode() * 1000, eof=True)
            assert (await sandboxes.ended(inside)).stdout == f"{number}\n".encode() * 1000

        await asyncio.gather(*(one(number) for number in range(20)))
        sandboxes.host.terminate(folder)

    drive(body)


def test_the_end_of_one_amid_the_output_of_others_harms_neither_them_nor_the_sandbox(drive):
    async def body(sandboxes):
        async def one(folder) -> None:
            assert (await sandboxes.exec(folder, "echo out; echo err >&2")).stdout == b"out\n"

        for _ in range(12):
            folder = await sandboxes.start("sleep 1000")
            await asyncio.gather(*(one(folder) for _ in range(20)))
            assert sandboxes.host.state(folder).phase == "running"
            sandboxes.host.terminate(folder)

    drive(body)


def test_its_time_limit_and_its_termination_end_it_alone(drive):
    async def body(sandboxes):
        mark = f"10{time.time_ns()}"
        folder = await sandboxes.start("sleep 1000")
        late = await sandboxes.exec(folder, f"sleep {mark}", timeout_s=0.3)
        assert (late.state.exit_code, late.state.cause) == (137, "timeout")
        inside = await sandboxes.host.exec(folder, ("sleep", mark))
        await until(lambda: bool(processes_with(mark)))
        sandboxes.host.terminate(inside)
        ended = await sandboxes.host.wait_end(inside, 10)
        assert (ended.exit_code, ended.cause) == (137, "terminated")
        assert sandboxes.host.state(folder).phase == "running"
        await until(lambda: not processes_with(mark))
        sandboxes.host.terminate(folder)

    drive(body)


def test_it_ends_with_its_sandbox_and_cannot_begin_after_it(drive):
    async def body(sandboxes):
        folder = await sandboxes.start("sleep 1000")
        inside = await sandboxes.host.exec(folder, ("sleep", "1000"))
        await sandboxes.host.wait_started(inside, 10)
        sandboxes.host.terminate(folder)
        assert (await sandboxes.host.wait_end(inside, 10)).cause == "terminated"
        await sandboxes.host.wait_end(folder, 10)
        with pytest.raises(NotRunningError):
            await sandboxes.host.exec(folder, ("true",))

    drive(body)


def test_a_command_that_does_not_exist_could_not_start(drive):
    async def body(sandboxes):
        folder = await sandboxes.start("sleep 1000")
        inside = await sandboxes.host.exec(folder, ("no-such-command",))
        state = await sandboxes.host.wait_end(inside, 10)
        assert (state.cause, state.message) == ("start_failed", "no-such-command: No such file or directory")
        sandboxes.host.terminate(folder)

    drive(body)


def test_a_terminal_in_it_echoes(drive):
    async def body(sandboxes):
        folder = await sandboxes.start("sleep 1000")
        inside = await sandboxes.host.exec(folder, ("sh", "-c", "stty size; read x; echo got $x"), pty=(7, 8))
        await sandboxes.printed(inside, b"7 8")
        await sandboxes.host.write_stdin(inside, b"hi\n")
        assert (await sandboxes.ended(inside)).stdout.endswith(b"got hi\r\n")
        sandboxes.host.terminate(folder)

    drive(body)
