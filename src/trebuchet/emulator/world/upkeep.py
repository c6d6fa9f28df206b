"""What is done for a sandbox while it runs: looking whether it is ready, and whether anybody uses it."""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from trebuchet.emulator.process.errors import NotRunningError, ProcessError
from trebuchet.emulator.process.listeners import Holder, holder_of
from trebuchet.emulator.process.ports import accepts_connections, has_connections
from trebuchet.emulator.world.errors import ConflictError, InvalidError, NotInTimeError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine

    from trebuchet.emulator.process.host import ProcessHost
    from trebuchet.emulator.world.execs import Execs
    from trebuchet.emulator.world.sandbox import Probe, Sandbox
    from trebuchet.emulator.world.stdin import Inputs
    from trebuchet.emulator.world.views import Views

log = logging.getLogger(__name__)

LOOKS_A_TIMEOUT = 10
LONGEST_LOOK_S = 1.0
REST = 9
"""How much longer than a look the pause after it is, at the least."""


class Upkeep:
    """Probes sandboxes, commits their volumes, and ends those that nobody used for too long."""

    def __init__(self, host: ProcessHost, execs: Execs, views: Views, inputs: Inputs) -> None:
        self._host = host
        self._views = views
        self._execs = execs
        self._inputs = inputs

    @asynccontextmanager
    async def during(self, sandbox: Sandbox) -> AsyncGenerator[None]:
        """Look after a sandbox until the block ends."""
        tasks = [asyncio.create_task(_logged(sandbox, work)) for work in self._work(sandbox)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _work(self, sandbox: Sandbox) -> list[Coroutine[None, None, None]]:
        work: list[Coroutine[None, None, None]] = []
        if sandbox.ask.probe is not None and not sandbox.ready.is_set():
            work.append(self._probe(sandbox, sandbox.ask.probe))
        if sandbox.ask.idle_timeout_s is not None:
            work.append(self._end_when_idle(sandbox, sandbox.ask.idle_timeout_s))
        if sandbox.ask.volumes:
            work.append(self._views.keep(sandbox))
        return work

    async def finish(self, sandbox: Sandbox) -> None:
        """Do what is left to do for a sandbox whose processes have ended. It ends, whatever comes of that."""
        self._inputs.forget(sandbox.process)
        if sandbox.ask.volumes:
            try:
                await self._views.close(sandbox)
            except Exception:
                log.exception("the volumes of %s were not left in order", sandbox.id)

    # ── readiness ──

    async def wait_until_ready(self, sandbox: Sandbox, timeout_s: float) -> float:
        """When a sandbox became ready, in seconds since the epoch; waits for that.

        Raises:
            InvalidError: It has no probe.
            ConflictError: It ended before it was ready.
            NotInTimeError: It was not ready in time.
        """
        if sandbox.ask.probe is None:
            raise InvalidError(f"Sandbox {sandbox.id} was created without a readiness probe.")
        try:
            async with asyncio.timeout(timeout_s):
                await _first(sandbox.ready, sandbox.ended)
        except TimeoutError:
            raise NotInTimeError(f"Sandbox {sandbox.id} is not ready after {timeout_s:g} s.") from None
        if sandbox.standing.ready_at is None:
            raise ConflictError(f"Sandbox {sandbox.id} ended before it was ready.")
        return sandbox.standing.ready_at

    async def _probe(self, sandbox: Sandbox, probe: Probe) -> None:
        began = time.monotonic()
        while not await self._passes(sandbox, probe):
            # Finding out whose a listener is takes a look at every process: most of the time is not for that.
            await asyncio.sleep(max(probe.interval_s, REST * (time.monotonic() - began)))
            began = time.monotonic()
        sandbox.now(ready_at=time.time())

    async def _passes(self, sandbox: Sandbox, probe: Probe) -> bool:
        if probe.tcp_port is not None:
            holder = await self._holder(sandbox, probe.tcp_port)
            return holder is Holder.ITSELF and await accepts_connections(probe.tcp_port)
        try:
            folder = await self._host.exec(sandbox.process, probe.argv)
        except (ProcessError, OSError):
            return False
        try:
            return (await self._host.wait_end(folder)).exit_code == 0
        finally:
            shutil.rmtree(folder, ignore_errors=True)  # there may be very many of them

    async def _holder(self, sandbox: Sandbox, port: int) -> Holder:
        return await asyncio.to_thread(holder_of, port, self._host.state(sandbox.process).init_pid)

    # ── idleness ──

    async def _end_when_idle(self, sandbox: Sandbox, timeout_s: float) -> None:
        """End it when nothing was done with it for so long. A new daemon begins to count anew."""
        sandbox.touch()
        was_used = False
        while (left := sandbox.used_at + timeout_s - time.monotonic()) > 0:
            await asyncio.sleep(min(left, LONGEST_LOOK_S, timeout_s / LOOKS_A_TIMEOUT))
            used = await self._in_use(sandbox)
            if used or was_used:  # what has ended since the last look counts until now
                sandbox.touch()
            was_used = used
        sandbox.now(idled=True)  # first, so that a daemon that dies now leaves the reason behind
        with suppress(NotRunningError):
            self._host.terminate(sandbox.process)

    async def _in_use(self, sandbox: Sandbox) -> bool:
        try:
            return await asyncio.to_thread(self._is_used, sandbox)
        except OSError as error:  # for want of descriptors, say: in doubt it is used
            log.warning("whether %s is used cannot be seen: %s", sandbox.id, error)
            return True

    def _is_used(self, sandbox: Sandbox) -> bool:
        return self._execs.any_running(sandbox) or has_connections(sandbox.ask.ports)


async def _logged(sandbox: Sandbox, work: Coroutine[None, None, None]) -> None:
    """Nobody waits for the outcome of the work: what ends it early is to be found in the log."""
    try:
        await work
    except Exception:
        log.exception("%s is no longer looked after in every way", sandbox.id)


async def _first(*events: asyncio.Event) -> None:
    waiting = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
