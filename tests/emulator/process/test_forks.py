"""Orders to the fork server: each arrives whole or not at all, and nobody waits for it to leave."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal

import pytest

from support.sandboxes import Sandboxes, until
from trebuchet.emulator.process.errors import NotRunningError
from trebuchet.emulator.process.host import ProcessHost
from trebuchet.emulator.process.spec import ProcessSpec

BIG = {f"VARIABLE_{number}": "x" * 100_000 for number in range(50)}
"""More than a socket holds."""


@contextlib.contextmanager
def standing_still(host):
    server = host._forks._server.pid
    os.kill(server, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server, signal.SIGCONT)


def takes_no_more(host) -> bool:
    poll = select.poll()
    poll.register(host._forks._orders, select.POLLOUT)
    return not poll.poll(0)


def test_an_order_that_is_broken_off_is_not_acted_upon_and_spoils_no_other(drive):
    async def body(sandboxes):
        assert (await sandboxes.run("echo first")).stdout == b"first\n"
        folder = sandboxes.folder()
        with standing_still(sandboxes.host):
            spec = ProcessSpec(id="x", argv=("true",), env=BIG)
            starting = asyncio.ensure_future(sandboxes.host.start(spec, folder))
            await until(lambda: takes_no_more(sandboxes.host))
            starting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await starting
        for word in (b"second\n", b"third\n"):
            assert (await sandboxes.run(f"echo {word.decode()}")).stdout == word
        with pytest.raises(NotRunningError):
            sandboxes.host.state(folder)

    drive(body)


def test_a_fork_server_that_is_slow_to_leave_holds_nobody_up(engine_state):
    async def count(ticks: list[None]) -> None:
        while True:
            ticks.append(None)
            await asyncio.sleep(0.001)

    async def within() -> None:
        async with contextlib.AsyncExitStack() as stack:
            host = ProcessHost(engine_state)
            async with host:
                await Sandboxes(host, engine_state).run("true")
                stack.enter_context(standing_still(host))
                ticks: list[None] = []
                counting = asyncio.create_task(count(ticks))
                await until(lambda: bool(ticks))
                before = len(ticks)
            assert len(ticks) > before + 10
            counting.cancel()

    asyncio.run(within())
