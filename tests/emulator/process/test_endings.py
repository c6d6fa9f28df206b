"""How a process ends, and what is known of it afterwards."""

from __future__ import annotations

import asyncio
import os
import signal
import time

import pytest

from support.sandboxes import processes_with, supervisor_of, until
from trebuchet.emulator.process.errors import CannotStartError, NotRunningError, ProcessError
from trebuchet.emulator.process.spec import ProcessSpec


@pytest.mark.parametrize("code", [0, 1, 2, 124, 126, 127, 137, 255])
def test_an_exit_code_is_the_programs_own(run_script, code):
    state = run_script(f"exit {code}").state
    assert (state.phase, state.exit_code, state.cause) == ("ended", code, "exit")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV])
def test_a_signal_from_within_counts_as_the_programs_own_end(run_script, number):
    state = run_script(f"kill -{int(number)} $$").state
    assert (state.exit_code, state.cause) == (128 + number, "exit")


def test_a_time_limit_ends_the_tree_and_is_told_apart(drive):
    async def body(sandboxes):
        mark = f"10{time.time_ns()}"
        started = time.monotonic()
        ended = await sandboxes.run(f"trap '' TERM; echo begun; sleep {mark} & sleep {mark}", timeout_s=0.5)
        assert time.monotonic() - started < 10
        assert (ended.state.exit_code, ended.state.cause) == (124, "timeout")
        assert ended.stdout == b"begun\n"
        await until(lambda: not processes_with(mark))

    drive(body)


def test_terminate_kills_what_ignores_signals_and_what_left_the_session(drive):
    async def body(sandboxes):
        mark = f"10{time.time_ns()}"
        folder = await sandboxes.start(
            f"trap '' TERM HUP INT; (trap '' TERM; setsid sleep {mark} &) ; sleep {mark} & echo up; wait"
        )
        await sandboxes.printed(folder, b"up")
        await until(lambda: len(processes_with(mark)) >= 2)
        sandboxes.host.terminate(folder)
        state = await sandboxes.host.wait_end(folder, 10)
        assert (state.phase, state.exit_code, state.cause) == ("ended", 137, "terminated")
        await until(lambda: not processes_with(f"sleep\0{mark}"))

    drive(body)


def test_terminate_before_the_start_is_remembered(drive):
    async def body(sandboxes):
        folder = sandboxes.folder()
        sandboxes.host.terminate(folder)
        await sandboxes.host.start(ProcessSpec(id="x", argv=("echo", "never")), folder)
        ended = await sandboxes.ended(folder)
        assert (ended.state.cause, ended.stdout) == ("terminated", b"")

    drive(body)


def test_terminate_right_after_the_start_always_ends_it(drive):
    async def body(sandboxes):
        folders = []
        for pause_ms in range(12):
            folder = await sandboxes.start("sleep 1000")
            await asyncio.sleep(pause_ms / 1000)
            sandboxes.host.terminate(folder)
            folders.append(folder)
        for folder in folders:
            state = await sandboxes.host.wait_end(folder, 10)
            assert (state.phase, state.cause) == ("ended", "terminated")

    drive(body)


def test_terminate_after_the_end_changes_nothing(drive):
    async def body(sandboxes):
        ended = await sandboxes.run("exit 5")
        sandboxes.host.terminate(ended.folder)
        assert sandboxes.host.state(ended.folder) == ended.state

    drive(body)


def test_children_in_the_background_do_not_hold_the_end_and_do_not_survive_it(drive):
    async def body(sandboxes):
        mark = f"10{time.time_ns()}"
        started = time.monotonic()
        ended = await sandboxes.run(f"sleep {mark} & (setsid sleep {mark} &); echo done; exit 6")
        assert time.monotonic() - started < 10
        assert (ended.stdout, ended.state.exit_code) == (b"done\n", 6)
        await until(lambda: not processes_with(mark))

    drive(body)


def test_a_command_that_does_not_exist_could_not_start(drive):
    async def body(sandboxes):
        folder = sandboxes.folder()
        await sandboxes.host.start(ProcessSpec(id="x", argv=("no-such-command",)), folder)
        state = await sandboxes.host.wait_end(folder)
        assert (state.cause, state.exit_code) == ("start_failed", 127)
        assert state.message == "no-such-command: No such file or directory"

    drive(body)


def test_an_environment_too_big_for_the_kernel_could_not_start(drive):
    async def body(sandboxes):
        ended = await sandboxes.run("true", env={"BIG": "x" * 200_000})
        assert ended.state.cause == "start_failed"
        assert "too long" in ended.state.message

    drive(body)


def test_a_sandbox_without_a_command_lives_until_terminated(drive):
    async def body(sandboxes):
        folder = sandboxes.folder()
        await sandboxes.host.start(ProcessSpec(id="x", argv=()), folder)
        state = await sandboxes.host.wait_started(folder, 10)
        assert state.phase == "running"
        assert state.started_at is not None
        with pytest.raises(ProcessError):
            await sandboxes.host.cleanup(folder)
        sandboxes.host.terminate(folder)
        assert (await sandboxes.host.wait_end(folder, 10)).cause == "terminated"

    drive(body)


def test_a_folder_serves_one_process_once(drive):
    async def body(sandboxes):
        ended = await sandboxes.run("true")
        with pytest.raises(CannotStartError):
            await sandboxes.host.start(ProcessSpec(id="x", argv=("true",)), ended.folder)
        with pytest.raises(NotRunningError):
            sandboxes.host.state(sandboxes.folder())

    drive(body)


def test_a_killed_supervisor_means_lost_and_takes_its_tree_along(drive):
    async def body(sandboxes):
        mark = f"10{time.time_ns()}"
        folder = await sandboxes.start(f"(setsid sleep {mark} &); echo up; sleep {mark}")
        await sandboxes.printed(folder, b"up")
        await until(lambda: sandboxes.host.state(folder).init_pid is not None)
        os.kill(supervisor_of(folder), signal.SIGKILL)
        state = await sandboxes.host.wait_end(folder, 10)
        assert (state.phase, state.exit_code, state.cause) == ("lost", None, None)
        assert sandboxes.host.read_log(folder)[0][0].data == b"up\n"
        await until(lambda: not processes_with(mark))

    drive(body)


def test_cleanup_leaves_the_log_and_the_result_alone(drive):
    async def body(sandboxes):
        ended = await sandboxes.run(
            "mkdir -p /data/a/b; touch /data/a/b/c /usr/x; chmod 000 /data/a/b /data/a; echo kept"
        )
        await sandboxes.host.cleanup(ended.folder)
        again = await sandboxes.ended(ended.folder)
        assert (again.stdout, again.state) == (b"kept\n", ended.state)
        assert not (ended.folder / "root").exists()
        assert not (ended.folder / "work").exists()

    drive(body)
