"""Where the ports of sandboxes lead: each is the machine's own, so that one sandbox at a time can have it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from trebuchet.emulator.process.errors import NotRunningError
from trebuchet.emulator.process.listeners import Holder, holder_of
from trebuchet.emulator.world.errors import ConflictError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trebuchet.emulator.process.host import ProcessHost
    from trebuchet.emulator.world.sandbox import Sandbox
    from trebuchet.emulator.world.sandboxes import Sandboxes


class Tunnels:
    """Sees to it that nobody is sent to another's port."""

    def __init__(self, sandboxes: Sandboxes, host: ProcessHost) -> None:
        self._sandboxes = sandboxes
        self._host = host

    async def check(self, sandbox: Sandbox) -> None:
        """Whether all ports of a sandbox lead to it, or to nobody yet.

        Raises:
            ConflictError: Another process of this machine has one of them, or an older sandbox is to have it.
        """
        for port in sandbox.ask.ports:
            if rival := await asyncio.to_thread(self._rival, sandbox, port):
                raise ConflictError(
                    f"Port {port} of sandbox {sandbox.id} is held by {rival}: "
                    "sandboxes of the local engine share this machine's ports. Choose another port."
                )

    def _rival(self, sandbox: Sandbox, port: int) -> str:
        holder = self._holder(sandbox, port)
        if holder is Holder.ITSELF:
            return ""
        others = list(self._others(sandbox, port))
        if holder is Holder.NOBODY:
            older = (other for other in others if other.ask.created_at < sandbox.ask.created_at)
            return next((f"sandbox {other.id}" for other in older), "")
        holders = (other for other in others if self._holder(other, port) is Holder.ITSELF)
        return next((f"sandbox {other.id}" for other in holders), "another process of this machine")

    def _others(self, sandbox: Sandbox, port: int) -> Iterator[Sandbox]:
        for other in self._sandboxes.running():
            started = other.standing.admitted and other.ask.network and not other.is_to_end
            if started and other is not sandbox and port in other.ask.ports:
                yield other

    def _holder(self, sandbox: Sandbox, port: int) -> Holder:
        try:
            init_pid = self._host.state(sandbox.process).init_pid
        except NotRunningError:
            init_pid = None
        return holder_of(port, init_pid)
