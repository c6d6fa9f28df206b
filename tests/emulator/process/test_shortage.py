"""A full disk, and too many open files: what there is no room for waits or fails alone."""

from __future__ import annotations

import contextlib
import os
import resource
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.sandboxes import supervisor_of, until
from trebuchet.emulator.process.supervise import framing

if TYPE_CHECKING:
    from collections.abc import Iterator

TOO_SMALL = 20
"""Bytes; no note is as short as that."""


@contextlib.contextmanager
def limited(pid: int, kind: int, most: int) -> Iterator[None]:
    """Hold a process to less for a while."""
    usual = resource.prlimit(pid, kind)
    resource.prlimit(pid, kind, (most, usual[1]))
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, kind, usual)


def open_files(pid: int) -> set[int]:
    return {int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir()}


def test_a_note_that_does_not_fit_leaves_nothing_behind_and_what_was_there_before(tmp_path):
    path = tmp_path / "note"
    framing.write_object(str(path), {"was": "before"})
    with (
        limited(os.getpid(), resource.RLIMIT_FSIZE, TOO_SMALL),
        pytest.raises(OSError, match="too large"),
    ):
        framing.write_object(str(path), {"is": "longer than there is room for"})
    assert framing.read_object(str(path)) == {"was": "before"}
    assert list(tmp_path.iterdir()) == [path]


def test_the_end_of_a_sandbox_is_known_as_soon_as_the_disk_has_room_for_it(drive):
    async def body(sandboxes):
        folder = await sandboxes.start("echo up; read x; exit 7")
        await sandboxes.printed(folder, b"up")
        await until(lambda: sandboxes.host.state(folder).phase == "running")
        supervisor = supervisor_of(folder)
        with limited(supervisor, resource.RLIMIT_FSIZE, TOO_SMALL):
            first = sandboxes.host.state(folder).init_pid
            await sandboxes.host.write_stdin(folder, b"\n")
            await until(lambda: not Path(f"/proc/{first}").exists())
            assert sandboxes.host.state(folder).phase == "running"
        state = await sandboxes.host.wait_end(folder, 20)
        assert (state.phase, state.exit_code, state.cause) == ("ended", 7, "exit")

    drive(body)


def test_a_command_ends_on_a_full_disk_and_its_sandbox_runs_on(drive):
    async def body(sandboxes):
        folder = await sandboxes.start("echo up; sleep 1000")
        await sandboxes.printed(folder, b"up")
        await until(lambda: sandboxes.host.state(folder).phase == "running")
        with limited(supervisor_of(folder), resource.RLIMIT_FSIZE, TOO_SMALL):
            inside = await sandboxes.host.exec(folder, ("touch", "/tmp/done"))
            await until((folder / "root/tmp/done").exists)
        state = await sandboxes.host.wait_end(inside, 20)
        assert (state.phase, state.exit_code) == ("ended", 0)
        assert state.started_at is not None
        assert sandboxes.host.state(folder).phase == "running"
        sandboxes.host.terminate(folder)

    drive(body)


@pytest.mark.parametrize("room", [2, 4, 6, 12])
@pytest.mark.parametrize("pty", [None, (10, 20)], ids=["pipes", "terminal"])
def test_a_command_for_which_there_are_no_descriptors_fails_alone(drive, room, pty):
    async def body(sandboxes):
        folder = await sandboxes.start("echo up; sleep 1000")
        await sandboxes.printed(folder, b"up")
        await until(lambda: sandboxes.host.state(folder).phase == "running")
        supervisor = supervisor_of(folder)
        await sandboxes.exec(folder, "true", pty=pty)
        before = open_files(supervisor)
        with limited(supervisor, resource.RLIMIT_NOFILE, max(before) + 1 + room):
            refused = [await sandboxes.host.exec(folder, ("true",), pty=pty) for _ in range(3)]
            states = [await sandboxes.host.wait_end(inside, 20) for inside in refused]
        for state in states:
            assert (state.cause, state.exit_code) == ("start_failed", None)
            assert state.message == "The command cannot be started: Too many open files."
        assert open_files(supervisor) == before
        assert (await sandboxes.exec(folder, "echo again")).stdout == b"again\n"
        sandboxes.host.terminate(folder)

    drive(body)


def test_a_command_whose_folder_is_removed_while_it_runs_harms_nobody(drive):
    async def body(sandboxes):
        folder = await sandboxes.start("echo up; sleep 1000")
        await sandboxes.printed(folder, b"up")
        inside = await sandboxes.host.exec(folder, ("sh", "-c", "echo in; read x"))
        await sandboxes.printed(inside, b"in")
        fifo = os.open(inside / framing.STDIN, os.O_WRONLY)
        for path in inside.iterdir():
            path.unlink()
        inside.rmdir()
        os.write(fifo, b"\n")
        os.close(fifo)
        assert (await sandboxes.exec(folder, "echo again")).stdout == b"again\n"
        assert sandboxes.host.state(folder).phase == "running"
        sandboxes.host.terminate(folder)

    drive(body)
