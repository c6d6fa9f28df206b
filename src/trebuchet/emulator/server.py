"""The daemon's inside: state, services and port put together, and when it leaves."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import signal
import socket
import sys
import time
from collections import Counter
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from aiohttp import web

from trebuchet.emulator import machine, rpc
from trebuchet.emulator.disk import make_private_folder, write_whole
from trebuchet.emulator.door import Door
from trebuchet.emulator.endpoint import (
    Endpoint,
    code_in_use,
    endpoint_path,
    read_or_make_token,
    try_daemon_lock,
    write_endpoint,
)
from trebuchet.emulator.errors import EmulatorError
from trebuchet.emulator.faults import Faults
from trebuchet.emulator.process.host import ProcessHost
from trebuchet.emulator.rpc.call import Repeats, Site
from trebuchet.emulator.rpc.serving import GrpcServer
from trebuchet.emulator.rpc.tokens import Tokens
from trebuchet.emulator.web import Web
from trebuchet.emulator.world.world import World

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

LOOPBACK = "127.0.0.1"
BACKLOG = 512
FILES = 65_536
SWEEP_S = 30.0
LOCK_PATIENCE_S = 3.0


class Attendance:
    """When something was last to do."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def note(self) -> None:
        """Something was asked for just now."""
        self._last = time.monotonic()

    @property
    def idle_s(self) -> float:
        """How long nothing was asked for."""
        return time.monotonic() - self._last


def serve(state: Path, *, port: int | None, idle_timeout_s: float, ready_fd: int | None) -> int:
    """Run the daemon until it is told to go or has nothing to do; its exit code."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    os.umask(0o077)
    make_private_folder(state)
    _raise_file_limit()
    try:
        lock = _take_lock(state)
        asyncio.run(_serve(state, port, idle_timeout_s, ready_fd))
    except EmulatorError as error:
        print(error.message, error.hint, file=sys.stderr)  # noqa: T201 - to the daemon's log
        return 1
    os.close(lock)
    return 0


def _raise_file_limit() -> None:
    """Each sandbox that is read takes a few descriptors, and the usual limit is meant for one program."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, FILES) if most > 0 else FILES, most))


def _take_lock(state: Path) -> int:
    """Hold the daemon's lock for life. Those who only look hold it for a moment: that is waited for."""
    deadline = time.monotonic() + LOCK_PATIENCE_S
    while (lock := try_daemon_lock(state)) is None:
        if time.monotonic() > deadline:
            raise EmulatorError(f"Another daemon already has {state}.")
        time.sleep(0.01)
    return lock


async def _serve(state: Path, port: int | None, idle_timeout_s: float, ready_fd: int | None) -> None:
    leaving = asyncio.Event()
    for ending in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(ending, leaving.set)
    token_id, token_secret = read_or_make_token(state)
    listening = _bind(state, port)
    async with ProcessHost(state) as host:
        world = _make_world(state, host)
        await world.sandboxes.recover()
        address = "{}:{}".format(*listening.getsockname())
        site = Site(world, Tokens(token_id, token_secret), address, Repeats())
        attendance = Attendance()
        async with _open(site, attendance, listening):
            write_endpoint(state, _endpoint(site, token_id, token_secret))
            _tell_ready(ready_fd)
            await _stay(world, attendance, idle_timeout_s, leaving)
            endpoint_path(state).unlink(missing_ok=True)
        world.secrets.sweep(grace_s=0.0)


def _make_world(state: Path, host: ProcessHost) -> World:
    if "TREBUCHET_LOCAL_GPUS" in os.environ:
        declared = machine.gpus()
        names = [name for name, count in declared.items() for _ in range(count)]
        return World(state, host, gpus=names, real_gpus=False)
    return World(state, host, gpus=machine.real_gpus(), real_gpus=True)


def _bind(state: Path, port: int | None) -> socket.socket:
    """Listen on loopback: at the port asked for, else at that of the last daemon, else at any.

    Raises:
        EmulatorError: The port asked for is taken.
    """
    note = state / "port"
    kept = int(note.read_text()) if port is None and note.exists() else 0
    for candidate in (port,) if port is not None else (kept, 0):
        # With the protocol named, asyncio turns off the delay that small packets have: 40 ms a call.
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((LOOPBACK, candidate))
        except OSError:
            listening.close()
            continue
        write_whole(note, str(listening.getsockname()[1]).encode())
        return listening
    raise EmulatorError(f"Port {port} on {LOOPBACK} is taken.", "Choose another, or none.")


@asynccontextmanager
async def _open(site: Site, attendance: Attendance, listening: socket.socket) -> AsyncGenerator[None]:
    """Serve both protocols on a socket."""
    rpc.load()
    calls, faults = Counter[str](), Faults(os.environ.get("TREBUCHET_FAULTS", ""))
    grpc = GrpcServer(site, calls=calls, faults=faults, on_call=attendance.note)
    pages = Web(site, calls=calls, faults=faults, on_call=attendance.note)
    runner = web.AppRunner(pages.app(), access_log=None, handle_signals=False)
    await runner.setup()
    http = runner.server
    assert http is not None  # noqa: S101 - it was set up
    server = await asyncio.get_running_loop().create_server(
        lambda: Door(grpc=grpc.protocol, http=http), sock=listening, backlog=BACKLOG
    )
    try:
        yield
    finally:
        server.close()
        await runner.cleanup()


def _endpoint(site: Site, token_id: str, token_secret: str) -> Endpoint:
    code, code_time_ns = code_in_use()
    return Endpoint(
        url=site.url,
        token_id=token_id,
        token_secret=token_secret,
        pid=os.getpid(),
        code=code,
        code_time_ns=code_time_ns,
        gpus=os.environ.get("TREBUCHET_LOCAL_GPUS", ""),
    )


def _tell_ready(ready_fd: int | None) -> None:
    if ready_fd is not None:
        with suppress(BrokenPipeError):
            os.write(ready_fd, b"ready")
        os.close(ready_fd)


async def _stay(world: World, attendance: Attendance, idle_timeout_s: float, leaving: asyncio.Event) -> None:
    """Keep house until told to leave, or until nothing lives here and nothing was asked for in a while."""
    while not leaving.is_set():
        if idle_timeout_s and not world.sandboxes.alive and attendance.idle_s >= idle_timeout_s:
            return
        world.secrets.sweep()
        world.blobs.sweep()
        with suppress(TimeoutError):
            await asyncio.wait_for(leaving.wait(), min(SWEEP_S, idle_timeout_s / 4 or SWEEP_S))
