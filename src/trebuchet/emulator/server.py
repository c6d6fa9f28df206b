"""The daemon: an engine in a process of its own, and when it leaves."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import signal
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, get_args

from trebuchet.emulator.assembly import assemble
from trebuchet.emulator.daemon_log import keep_log
from trebuchet.emulator.disk import make_private_folder
from trebuchet.emulator.endpoint import endpoint_path, try_daemon_lock, write_endpoint
from trebuchet.emulator.errors import EmulatorError
from trebuchet.emulator.faults import Faults
from trebuchet.emulator.machine import shared_base
from trebuchet.emulator.world.views import Sharing

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from trebuchet.emulator.assembly import Attendance
    from trebuchet.emulator.endpoint import Endpoint
    from trebuchet.emulator.world.world import World

log = logging.getLogger(__name__)

FILES = 65_536
SWEEP_S = 10.0
LOCK_PATIENCE_S = 3.0


def serve(
    state: Path,
    *,
    port: int | None,
    idle_timeout_s: float,
    on_ready: Callable[[Endpoint], None],
    sharing: Sharing = "shared",
) -> None:
    """Run an engine in this process until it is told to go by a signal, or has nothing to do.

    Args:
        state: Its state directory.
        port: On loopback; None for that of the last engine here, or any.
        idle_timeout_s: How long it stays without anything to do; 0 for ever.
        on_ready: Told where it answers, as soon as it does.
        sharing: Whether sandboxes that have the same volume see one folder, or each has a copy;
            TREBUCHET_LOCAL_VOLUMES says otherwise.

    Raises:
        EmulatorError: Another process serves this directory, or the port is taken.
    """
    os.umask(0o077)
    make_private_folder(state)
    keep_log(state)
    _raise_file_limit()
    lock = _take_lock(state)
    endpoint_path(state).unlink(missing_ok=True)  # of one that was killed: its process may be another by now
    try:
        asyncio.run(
            _serve(
                state,
                lock,
                port=port,
                idle_timeout_s=idle_timeout_s,
                on_ready=on_ready,
                sharing=sharing,
            )
        )
    finally:
        os.close(lock)


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
            raise EmulatorError(
                f"Another process already serves {state}.",
                "`trebuchet local stop` ends it, and leaves its sandboxes running; or use another directory.",
            )
        time.sleep(0.01)
    return lock


async def _serve(
    state: Path,
    lock: int,
    *,
    port: int | None,
    idle_timeout_s: float,
    on_ready: Callable[[Endpoint], None],
    sharing: Sharing,
) -> None:
    leaving = asyncio.Event()
    for ending in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(ending, leaving.set)
    declared = os.environ.get("TREBUCHET_LOCAL_GPUS")
    faults = _declared_faults()
    sharing = _sharing(os.environ.get("TREBUCHET_LOCAL_VOLUMES", sharing))
    base = shared_base()
    async with assemble(
        state, port=port, gpus=declared, faults=faults, layers=base, sharing=sharing
    ) as parts:
        write_endpoint(state, parts.endpoint)
        on_ready(parts.endpoint)
        await _stay(lock, parts.world, parts.attendance, idle_timeout_s, leaving)
        if not _was_removed(lock):  # or else the endpoint there may be another daemon's
            endpoint_path(state).unlink(missing_ok=True)


def _was_removed(lock: int) -> bool:
    """Whether the state directory, with the file of the daemon's lock, was removed."""
    return os.fstat(lock).st_nlink == 0


def _declared_faults() -> str:
    declared = os.environ.get("TREBUCHET_FAULTS", "")
    try:
        Faults(declared)
    except ValueError as error:
        raise EmulatorError(
            f"TREBUCHET_FAULTS cannot be read: {error}",
            'Write a JSON list like [{"call": "SandboxCreate*", "action": "refuse"}].',
        ) from None
    return declared


def _sharing(word: str) -> Sharing:
    for known in get_args(Sharing):
        if word == known:
            return known
    raise EmulatorError(
        f"TREBUCHET_LOCAL_VOLUMES={word} means nothing.",
        "`shared` lets sandboxes see one folder, `isolated` each a copy, as on Modal.",
    )


async def _sweep(world: World) -> None:
    """Remove what has had its time. What cannot be removed now is tried again with the next sweep."""
    with _logged("secrets"):
        world.secrets.sweep()
    with _logged("blobs"):
        world.blobs.sweep()
    with _logged("snapshots"):
        await world.snapshots.sweep({sandbox.ask.image_id for sandbox in world.sandboxes.running()})


@contextmanager
def _logged(swept: str) -> Generator[None]:
    try:
        yield
    except OSError:
        log.exception("old %s are not all removed", swept)


async def _stay(
    lock: int, world: World, attendance: Attendance, idle_timeout_s: float, leaving: asyncio.Event
) -> None:
    """Keep house until told to leave, or until nothing lives here and nothing was asked for in a while.

    A house that was removed is left too; its sandboxes notice it themselves, and end.
    """
    while not leaving.is_set():
        busy = world.sandboxes.alive or world.builds.running
        if idle_timeout_s and not busy and attendance.idle_s >= idle_timeout_s:
            return
        if _was_removed(lock):
            return
        await _sweep(world)
        with suppress(TimeoutError):
            await asyncio.wait_for(leaving.wait(), min(SWEEP_S, idle_timeout_s / 4 or SWEEP_S))
