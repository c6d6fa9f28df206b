"""State, services and port put together: an engine that answers."""

from __future__ import annotations

import asyncio
import importlib
import os
import socket
import time
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trebuchet.emulator import machine, nvidia, rpc
from trebuchet.emulator.disk import make_private_folder, write_whole
from trebuchet.emulator.door import Door
from trebuchet.emulator.endpoint import Endpoint, code_in_use, read_or_make_token
from trebuchet.emulator.errors import EmulatorError
from trebuchet.emulator.faults import Faults
from trebuchet.emulator.lobby import Lobby
from trebuchet.emulator.loopback import LOOPBACK
from trebuchet.emulator.process.host import ProcessHost
from trebuchet.emulator.process.limits import Limits
from trebuchet.emulator.rpc.call import Repeats, Site
from trebuchet.emulator.rpc.serving import GrpcServer
from trebuchet.emulator.rpc.tokens import Tokens
from trebuchet.emulator.visits import Visits
from trebuchet.emulator.world.admission import Room
from trebuchet.emulator.world.rates import Rates
from trebuchet.emulator.world.world import World

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from aiohttp.web import AppRunner

    from trebuchet.emulator.world.recipes import Recipes
    from trebuchet.emulator.world.views import Sharing

HIGHEST_PORT = 65_535
BACKLOG = 512


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


@dataclass(frozen=True, kw_only=True)
class Parts:
    """An engine that answers.

    Attributes:
        endpoint: Where, and what it wants to be shown.
        world: All its state.
        attendance: When it was last asked for something.
        calls: How often each call was made.
        faults: What goes wrong on purpose.
    """

    endpoint: Endpoint
    world: World
    attendance: Attendance
    calls: Counter[str]
    faults: Faults


@asynccontextmanager
async def assemble(
    state: Path,
    *,
    port: int | None = None,
    gpus: str | None = None,
    faults: str = "",
    layers: Path | None = None,
    sharing: Sharing = "shared",
    recipes: Recipes | None = None,
) -> AsyncGenerator[Parts]:
    """Let an engine answer until the block ends; its sandboxes run on after that.

    Args:
        state: Its state directory. One engine at a time has it: see to that first.
        port: On loopback; None for that of the last engine here, or any.
        gpus: Pretended GPUs, `8xH100` say; None for the machine's own.
        faults: What goes wrong on purpose, from the start.
        layers: Where the layers lie that sandboxes share; None for within the state directory.
        sharing: Whether sandboxes that have the same volume see one folder, or each has a copy.
        recipes: Images that other engines of this process were asked for; None where it has one engine.

    Raises:
        EmulatorError: The port is taken, or the declaration of GPUs cannot be read.
    """
    make_private_folder(state)
    token_id, token_secret = read_or_make_token(state)
    listening = _bind(state, port)
    limits = Limits(**machine.disk_limits(state))
    async with ProcessHost(state, layers=layers, limits=limits) as host:
        world = _make_world(state, host, gpus, sharing, recipes)
        await world.lifecycle.recover()
        address = "{}:{}".format(*listening.getsockname())
        tokens = Tokens(token_id, token_secret)
        visits = Visits(tokens, Lobby())
        site = Site(world, tokens, address, Repeats(), visits, Lobby())
        parts = Parts(
            endpoint=_endpoint(site, token_id, token_secret, gpus or ""),
            world=world,
            attendance=Attendance(),
            calls=Counter(),
            faults=Faults(faults),
        )
        async with _open(site, parts, listening):
            yield parts
        visits.close()
        world.secrets.sweep(grace_s=0.0)


def _make_world(
    state: Path, host: ProcessHost, gpus: str | None, sharing: Sharing, recipes: Recipes | None
) -> World:
    rates = Rates(machine.declared_rates())
    builds_layers = machine.builds_layers()
    if gpus is not None:
        declared = machine.declared_gpus(gpus)
        names = [name for name, count in declared.items() for _ in range(count)]
        room = Room(**machine.declared_room())
        return World(
            state,
            host,
            gpus=names,
            room=room,
            sharing=sharing,
            rates=rates,
            builds_layers=builds_layers,
            recipes=recipes,
        )
    room = Room(**machine.real_room() | machine.declared_room())
    devices = nvidia.devices()
    names, minors = [device.name for device in devices], [device.minor for device in devices]
    return World(
        state,
        host,
        gpus=names,
        minors=minors,
        room=room,
        sharing=sharing,
        rates=rates,
        builds_layers=builds_layers,
        recipes=recipes,
    )


def _bind(state: Path, port: int | None) -> socket.socket:
    """Listen on loopback: at the port asked for, else at that of the last daemon, else at any.

    Raises:
        EmulatorError: The port asked for is taken.
    """
    note = state / "port"
    for candidate in (port,) if port is not None else (_noted_port(note), 0):
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


def _noted_port(note: Path) -> int:
    """The port of the last daemon; 0, which is any, where it was not written down as one."""
    try:
        port = int(note.read_bytes())
    except (FileNotFoundError, ValueError):
        return 0
    return port if 0 < port <= HIGHEST_PORT else 0


@asynccontextmanager
async def _open(site: Site, parts: Parts, listening: socket.socket) -> AsyncGenerator[None]:
    """Serve both protocols on a socket."""
    rpc.load()
    calls, faults, note = parts.calls, parts.faults, parts.attendance.note
    grpc = GrpcServer(site, calls=calls, faults=faults, on_call=note)
    pages = LatePages(site, parts)
    server = await asyncio.get_running_loop().create_server(
        lambda: Door(lobby=site.lobby, grpc=grpc.protocol, http=pages.protocol),
        sock=listening,
        backlog=BACKLOG,
    )
    try:
        yield
    finally:
        server.close()
        await pages.close()


class LatePages:
    """The pages for plain HTTP, put together for whoever comes first: their library is a third of a start."""

    def __init__(self, site: Site, parts: Parts) -> None:
        self._site = site
        self._parts = parts
        self._runner: AppRunner | None = None
        self._turn = asyncio.Lock()

    async def protocol(self) -> asyncio.Protocol:
        """A protocol for one connection."""
        async with self._turn:
            if self._runner is None:
                self._runner = await self._open()
        assert self._runner.server is not None  # noqa: S101 - it was set up
        return self._runner.server()

    async def close(self) -> None:
        """Let go of all connections."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _open(self) -> AppRunner:
        web = await asyncio.to_thread(importlib.import_module, "trebuchet.emulator.web")
        parts = self._parts
        pages = web.Web(self._site, calls=parts.calls, faults=parts.faults, on_call=parts.attendance.note)
        runner: AppRunner = pages.runner()
        await runner.setup()
        return runner


def _endpoint(site: Site, token_id: str, token_secret: str, gpus: str) -> Endpoint:
    code, code_time_ns = code_in_use()
    return Endpoint(
        url=site.url,
        token_id=token_id,
        token_secret=token_secret,
        pid=os.getpid(),
        code=code,
        code_time_ns=code_time_ns,
        gpus=gpus,
    )
