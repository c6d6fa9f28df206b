"""Connections to supervisors, and the waking of whoever watches a sandbox."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import weakref
from typing import TYPE_CHECKING

from trebuchet.emulator.process.supervise import framing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_RECEIVE = 1 << 16
UNCONNECTED_S = 0.02
"""How often to look where no supervisor can be reached, because it is not up yet or no more."""


class Bell:
    """Rings when something about a sandbox may have changed."""

    def __init__(self) -> None:
        """A bell that has not rung."""
        self.rung = 0
        self._waiting: set[asyncio.Future[None]] = set()

    def ring(self) -> None:
        self.rung += 1
        waiting, self._waiting = self._waiting, set()
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def next(self, timeout_s: float | None) -> None:
        """Return when it rings, or at the time limit."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            async with asyncio.timeout(timeout_s):
                await future
        except TimeoutError:
            pass
        finally:
            self._waiting.discard(future)


class Changes:
    """Tells one watcher that something about one folder may have changed: output, a phase, an exec in it."""

    def __init__(self, bell: Bell, is_connected: Callable[[], bool]) -> None:
        """A watch that begins now."""
        self._bell = bell
        self._is_connected = is_connected
        self._seen = bell.rung

    async def wait(self, timeout_s: float | None = None) -> None:
        """Return at the next change, at once if one came since the last return (or since the watch began).

        It may return with nothing changed: read again, whatever the reason. At `timeout_s` it returns too.
        """
        if self._bell.rung == self._seen:
            if not self._is_connected():
                timeout_s = min(timeout_s, UNCONNECTED_S) if timeout_s is not None else UNCONNECTED_S
            await self._bell.next(timeout_s)
        self._seen = self._bell.rung


class Line:
    """A connection to one supervisor: requests go out, wakes come in, its end is the supervisor's."""

    def __init__(
        self, connection: socket.socket, on_wake: Callable[[], None], on_end: Callable[[], None]
    ) -> None:
        """Take over a connected socket."""
        connection.setblocking(False)
        self._connection = connection
        self._on_wake = on_wake
        self._on_end = on_end
        self._unsent = bytearray()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(connection, self._receive)

    def send(self, request: Mapping[str, object]) -> None:
        """Send a request, now or as soon as the supervisor takes it."""
        self._unsent += framing.message(request)
        self._flush()

    def close(self) -> None:
        if self._connection.fileno() >= 0:
            self._loop.remove_reader(self._connection)
            self._loop.remove_writer(self._connection)
            self._connection.close()

    def _flush(self) -> None:
        try:
            while self._unsent:
                del self._unsent[: self._connection.send(self._unsent)]
        except BlockingIOError:
            self._loop.add_writer(self._connection, self._flush)
            return
        except OSError:
            self._unsent.clear()  # it has gone; the reader will hear of it
        self._loop.remove_writer(self._connection)

    def _receive(self) -> None:
        try:
            data = self._connection.recv(_RECEIVE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            self._on_end()
        self._on_wake()


class Switchboard:
    """All lines and bells of one daemon, by the sandbox's folder."""

    def __init__(self) -> None:
        """One with no lines."""
        self._lines: dict[Path, Line] = {}
        self._bells: weakref.WeakValueDictionary[Path, Bell] = weakref.WeakValueDictionary()

    def watch(self, sandbox: Path) -> Changes:
        self.line(sandbox)
        bell = self._bells.get(sandbox)
        if bell is None:
            bell = self._bells[sandbox] = Bell()
        return Changes(bell, lambda: self.line(sandbox) is not None)

    def adopt(self, sandbox: Path, connection: socket.socket) -> None:
        """Use a socket that is connected to the sandbox's supervisor, or will be."""
        self._lines[sandbox] = Line(connection, lambda: self._ring(sandbox), lambda: self._forget(sandbox))

    def line(self, sandbox: Path) -> Line | None:
        """The line to a supervisor, connected if need be; None where no supervisor is, yet or no more."""
        if sandbox not in self._lines:
            connection = _connect(sandbox)
            if connection is not None:
                self.adopt(sandbox, connection)
        return self._lines.get(sandbox)

    def close(self) -> None:
        for line in self._lines.values():
            line.close()
        self._lines.clear()

    def _ring(self, sandbox: Path) -> None:
        bell = self._bells.get(sandbox)
        if bell is not None:
            bell.ring()

    def _forget(self, sandbox: Path) -> None:
        self._lines.pop(sandbox, None)


def _connect(sandbox: Path) -> socket.socket | None:
    """Connect to a supervisor's socket, whose path may be longer than an address can be."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.setblocking(False)
    folder = -1
    try:
        if sys.platform == "linux":
            folder = os.open(sandbox, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            connection.connect(f"/proc/self/fd/{folder}/{framing.CONTROL}")
        else:
            connection.connect(str(sandbox / framing.CONTROL))
    except OSError:
        connection.close()
        return None
    finally:
        if folder >= 0:
            with contextlib.suppress(OSError):
                os.close(folder)
    return connection
