"""The daemon's side of the fork server."""

from __future__ import annotations

import array
import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trebuchet.emulator.own_python import PACKAGE_ROOT
from trebuchet.emulator.process.errors import CannotStartError
from trebuchet.emulator.process.standard_input import writable
from trebuchet.emulator.process.supervise import framing
from trebuchet.emulator.process.supervise.untouchable import open_untouchable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_LEAVES_WITHIN_S = 1.0
_PROGRAM = """
import os, sys
os.close(int(sys.argv.pop()))
sys.path.insert(0, sys.argv.pop())
from trebuchet.emulator.process.supervise.zygote import main
main()
"""


class ForkServer:
    """Hands orders to a fork server, which it starts when there is none."""

    def __init__(self, errors: Path) -> None:
        """Remember where the server's own complaints go; it is started by the first order."""
        self._errors = errors
        self._server: subprocess.Popen[bytes] | None = None
        self._orders: socket.socket | None = None
        self._left: list[subprocess.Popen[bytes]] = []
        self._turn = asyncio.Lock()

    async def send(self, order: dict[str, Any], descriptors: Sequence[int]) -> None:
        """Hand over an order with its descriptors. On return the server has it, and survives this process.

        Raises:
            CannotStartError: There is no server, and none can be started.
        """
        async with self._turn:
            try:
                await self._send(order, descriptors)
            except (BrokenPipeError, ConnectionResetError):
                # It was killed: nothing of the order was acted upon, so another may have it.
                try:
                    await self._send(order, descriptors)
                except OSError as error:
                    raise CannotStartError(f"No supervisor can be started: {error}.") from error

    async def close(self) -> None:
        """Let the server go. The supervisors it forked stay."""
        self._let_go()
        for server in self._left:
            with contextlib.suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(server.wait, _LEAVES_WITHIN_S)
        self._left.clear()

    def _let_go(self) -> None:
        """Take leave of the server, which ends when it has done what it was told."""
        if self._orders is not None:
            self._orders.close()
        self._left = [server for server in (*self._left, self._server) if server and server.poll() is None]
        self._orders = self._server = None

    async def _send(self, order: dict[str, Any], descriptors: Sequence[int]) -> None:
        orders = self._orders or self._start()
        content = framing.message(order)
        head, payload = content[: framing.LENGTH.size], content[framing.LENGTH.size :]
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
        try:
            await _retried(orders, lambda: orders.sendmsg([head], rights))
            rest = memoryview(payload)
            while rest:
                rest = rest[await _retried(orders, partial(orders.send, rest)) :]
        except BaseException:
            # Half of an order may be said: it cannot be taken back, and another would be taken for its end.
            self._let_go()
            raise

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        python = -1
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._errors.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        errors = os.open(self._errors, flags, 0o600)
        try:
            python = open_untouchable(sys.executable, str(self._errors.parent))
            words = map(str, (theirs.fileno(), PACKAGE_ROOT, python))
            self._server = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _PROGRAM, *words],
                executable=f"/proc/self/fd/{python}" if sys.platform == "linux" else None,
                env={"PATH": os.environ.get("PATH", os.defpath)} | _libraries(),
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                pass_fds=(theirs.fileno(), python),
                start_new_session=True,
                cwd="/",
            )
        except OSError as error:
            raise CannotStartError(f"No supervisor can be started: {error}.") from error
        finally:
            os.close(errors)
            theirs.close()
            if python >= 0:
                os.close(python)
        self._orders = ours
        return ours


async def _retried(orders: socket.socket, attempt: Callable[[], int]) -> int:
    """How many bytes an attempt sent, once the socket takes any; one cancelled meanwhile sent none."""
    while True:
        try:
            return attempt()
        except BlockingIOError:
            await writable(orders)


def _libraries() -> dict[str, str]:
    """Where a Python finds its library that looks for it beside itself: a copy of it has no such place."""
    folder = Path(sys.base_prefix, "lib")
    return {"LD_LIBRARY_PATH": str(folder)} if any(folder.glob("libpython*.so*")) else {}
