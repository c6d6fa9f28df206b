"""Standard input arrives once and in order, whoever writes, breaks off and repeats himself."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import os
import select
from typing import TYPE_CHECKING

import pytest

from support.sandboxes import until
from trebuchet.emulator.process import host as host_module
from trebuchet.emulator.process.supervise import framing
from trebuchet.emulator.world.errors import ConflictError
from trebuchet.emulator.world.stdin import Inputs

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from pathlib import Path

LATE_READER = "echo up; while [ ! -e /tmp/go ]; do sleep 0.02; done; sha256sum"
SENT = bytes(range(256)) * 1024


def is_full(folder: Path) -> bool:
    """Whether a process's input takes no more for now."""
    descriptor = os.open(folder / framing.STDIN, os.O_WRONLY | os.O_NONBLOCK)
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLOUT)
        return not poll.poll(0)
    finally:
        os.close(descriptor)


async def break_off(work: Awaitable[None]) -> None:
    task = asyncio.ensure_future(work)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("numbered", [False, True], ids=["by-offset", "by-number"])
def test_what_is_broken_off_and_repeated_arrives_once(drive, numbered):
    async def body(sandboxes):
        inputs = Inputs(sandboxes.host)

        def send() -> Awaitable[None]:
            if numbered:
                return inputs.write_next(folder, 1, SENT, eof=False)
            return inputs.write_at(folder, 0, SENT, eof=False)

        folder = await sandboxes.start(LATE_READER)
        await sandboxes.printed(folder, b"up")
        for _ in range(2):
            sending = asyncio.ensure_future(send())
            await until(lambda: is_full(folder))
            await break_off(sending)
        (folder / "root/tmp/go").touch()
        await send()
        await sandboxes.host.write_stdin(folder, b"", eof=True)
        assert hashlib.sha256(SENT).hexdigest().encode() in (await sandboxes.ended(folder)).stdout

    drive(body)


def test_one_writes_at_a_time_however_they_come(drive, monkeypatch):
    at_once, most = 0, 0

    async def write_all(*_: object) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        for _ in range(4):
            await asyncio.sleep(0)
        at_once -= 1

    monkeypatch.setattr(host_module, "write_all", write_all)

    async def body(sandboxes):
        folder = await sandboxes.start("echo up; sleep 1000")
        await sandboxes.printed(folder, b"up")

        async def write_after(turns: int) -> None:
            for _ in range(turns):
                await asyncio.sleep(0)
            await sandboxes.host.write_stdin(folder, b"x")

        for second, third in itertools.product(range(14), repeat=2):
            await asyncio.gather(write_after(0), write_after(second), write_after(third))
        assert most == 1
        sandboxes.host.terminate(folder)

    drive(body)


def test_nothing_is_remembered_of_the_input_of_what_has_ended(drive):
    async def body(sandboxes):
        inputs = Inputs(sandboxes.host)
        folder = await sandboxes.start("sleep 1000")
        inside = await sandboxes.host.exec(folder, ("sleep", "1000"))
        for process in (folder, inside):
            await inputs.write_at(process, 0, b"some", eof=False)
        assert (inputs.written(folder), inputs.written(inside)) == (4, 4)
        sandboxes.host.terminate(folder)
        await sandboxes.host.wait_end(folder)
        inputs.forget(folder)
        assert (inputs.written(folder), inputs.written(inside)) == (0, 0)
        for process in (folder, inside):
            with pytest.raises(ConflictError):
                await inputs.write_at(process, 4, b"more", eof=False)
        assert not inputs._inputs

    drive(body)
