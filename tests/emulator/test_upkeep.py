"""What is done for a sandbox while it runs goes on, and says so where it does not."""

from __future__ import annotations

import asyncio
import errno
import os
import time
from typing import TYPE_CHECKING, Any

import pytest

from support.sandboxes import Sandboxes
from trebuchet.emulator.process.host import ProcessHost
from trebuchet.emulator.world import upkeep as upkeep_module
from trebuchet.emulator.world.execs import FOLDER, Execs
from trebuchet.emulator.world.sandbox import Ask, Probe, Sandbox, Standing
from trebuchet.emulator.world.stdin import Inputs
from trebuchet.emulator.world.upkeep import Upkeep

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

PATIENCE_S = 60


@pytest.fixture
def looked_after(tmp_path: Path) -> Callable[..., None]:
    """Run a coroutine function on a sandbox that runs and is looked after."""

    def run(body: Callable[[Sandbox, ProcessHost], Awaitable[None]], **asked: Any) -> None:
        async def within() -> None:
            async with asyncio.timeout(PATIENCE_S), ProcessHost(tmp_path) as host:
                folder = tmp_path / "sandboxes" / "sb-1"
                sandbox = Sandbox(
                    folder, Ask(id="sb-1", app_id="ap-1", created_at=time.time(), **asked), Standing()
                )
                folder.parent.mkdir()
                sandbox.move_in()
                sandboxes = Sandboxes(host, tmp_path)
                sandboxes.folder = lambda: sandbox.process
                await sandboxes.start("sleep 600")
                await host.wait_started(sandbox.process)
                try:
                    async with Upkeep(host, Execs(host), None, Inputs(host)).during(sandbox):
                        await body(sandbox, host)
                finally:
                    host.terminate(sandbox.process)
                    await host.wait_end(sandbox.process)

        asyncio.run(within())

    return run


def test_what_a_crash_left_among_the_notes_of_commands_keeps_no_sandbox_from_idling(looked_after):
    async def body(sandbox: Sandbox, host: ProcessHost) -> None:
        notes = sandbox.folder / FOLDER
        notes.mkdir()
        (notes / ".ex-1.0a1b2c3d").touch()
        (notes / "ex-2").touch()
        (notes / "ex-3").symlink_to("gone")
        state = await host.wait_end(sandbox.process, PATIENCE_S)
        assert (state.phase, state.cause) == ("ended", "terminated")
        assert sandbox.standing.idled

    looked_after(body, idle_timeout_s=0.5)


def test_a_sandbox_of_which_nobody_can_tell_whether_it_is_used_is_not_ended(
    looked_after, monkeypatch, caplog
):
    trouble = [OSError(errno.EMFILE, os.strerror(errno.EMFILE))] * 25

    def has_connections(ports: object) -> bool:
        if trouble:
            raise trouble.pop()
        return False

    monkeypatch.setattr(upkeep_module, "has_connections", has_connections)

    async def body(sandbox: Sandbox, host: ProcessHost) -> None:
        await host.wait_end(sandbox.process, PATIENCE_S)
        assert sandbox.standing.idled
        assert not trouble

    looked_after(body, idle_timeout_s=0.2)
    assert "Too many open files" in caplog.text


def test_work_for_a_sandbox_that_fails_is_in_the_log(looked_after, monkeypatch, caplog):
    def fail(*_: object) -> None:
        raise RuntimeError("as never before")

    monkeypatch.setattr(upkeep_module, "holder_of", fail)

    async def body(sandbox: Sandbox, host: ProcessHost) -> None:
        while "as never before" not in caplog.text:
            await asyncio.sleep(0.01)

    looked_after(body, probe=Probe(tcp_port=1))
    assert "sb-1" in caplog.text


def test_with_a_sandbox_ends_what_is_known_of_its_input(looked_after):
    async def body(sandbox: Sandbox, host: ProcessHost) -> None:
        inputs = Inputs(host)
        await inputs.write_at(sandbox.process, 0, b"some", eof=False)
        await Upkeep(host, Execs(host), None, inputs).finish(sandbox)
        assert inputs.written(sandbox.process) == 0

    looked_after(body)


def test_a_sandbox_idles_from_the_end_of_its_use_on_however_seldom_it_is_looked_at(looked_after, monkeypatch):
    looks: list[float] = []

    def has_connections(ports: object) -> bool:
        looks.append(time.monotonic())
        return len(looks) < 5

    monkeypatch.setattr(upkeep_module, "has_connections", has_connections)

    async def body(sandbox: Sandbox, host: ProcessHost) -> None:
        await host.wait_end(sandbox.process, PATIENCE_S)
        assert sandbox.standing.idled
        assert time.monotonic() - looks[4] >= 1

    looked_after(body, idle_timeout_s=1)
