"""What a sandbox of the local engine costs through the official SDK, next to bubblewrap alone.

    python bench/engine.py

Prints: from `Sandbox.create` to the first byte of `echo`, and to the end of a `wait` for `true`, each as a
ratio to bubblewrap with the same arguments; sandboxes of `true` a second, 16 at a time; and how much a second
is taken in of what sandboxes print, as a ratio to one `cat` that writes as much to a file.
`process_start.py` looks below the protocol.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import modal

from trebuchet.emulator.process.host import ProcessHost
from trebuchet.emulator.process.limits import Limits
from trebuchet.emulator.process.orders import learn_machine, make_order
from trebuchet.emulator.process.spec import ProcessSpec
from trebuchet.emulator.process.supervise import framing
from trebuchet.emulator.process.supervise.nodes import make_nodes
from trebuchet.engines.local import LocalDaemon
from trebuchet.settings import Settings

ROUNDS = 30
MANY = 200
AT_ONCE = 16
PRINTERS = 4
PRINTED = 400_000_000
"""Bytes that each of them prints."""


async def first_byte(app: modal.App) -> float:
    begun = time.perf_counter()
    sandbox = await modal.Sandbox.create.aio("echo", "hello", app=app)
    async for _ in sandbox.stdout:
        return time.perf_counter() - begun
    raise AssertionError("it printed nothing")


async def waited(app: modal.App) -> float:
    begun = time.perf_counter()
    sandbox = await modal.Sandbox.create.aio("true", app=app)
    await sandbox.wait.aio()
    return time.perf_counter() - begun


async def taken_in(app: modal.App) -> float:
    """Bytes a second of all that sandboxes print, from their creation to their ends."""
    begun = time.perf_counter()
    argv = "head", "-c", str(PRINTED), "/dev/zero"
    printers = await asyncio.gather(*(modal.Sandbox.create.aio(*argv, app=app) for _ in range(PRINTERS)))
    await asyncio.gather(*(printer.wait.aio() for printer in printers))
    assert all(printer.returncode == 0 for printer in printers)
    return PRINTERS * PRINTED / (time.perf_counter() - begun)


def copied(folder: Path) -> float:
    """Bytes a second that go through a pipe to a file of the same disk."""
    begun = time.perf_counter()
    script = f"head -c {PRINTERS * PRINTED} /dev/zero | cat > {folder}/copied"
    subprocess.run(["sh", "-c", script], check=True)
    took = time.perf_counter() - begun
    (folder / "copied").unlink()
    return PRINTERS * PRINTED / took


async def bare_start(state: Path, number: int) -> float:
    """Bubblewrap with the arguments a supervisor would give it, its output read from a pipe."""
    async with ProcessHost(state) as host:
        machine = await learn_machine(state, state / "process", await host.isolation())
    folder = state / "bare" / str(number)
    order = make_order(machine, ProcessSpec(id="bare", argv=("echo", "hello")), folder, Limits())
    folder.mkdir(parents=True)
    for path, mode in order["folders"]:
        (folder / path).mkdir(mode=mode)
    make_nodes(order["nodes"], str(folder / framing.NODES))
    argv = [order["program"], *order["bwrap"], "--", *order["argv"]]
    begun = time.perf_counter()
    with subprocess.Popen(argv, env=order["env"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.read(1)
        return time.perf_counter() - begun


async def a_second(app: modal.App) -> float:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one() -> None:
        async with gate:
            sandbox = await modal.Sandbox.create.aio("true", app=app)
            await sandbox.wait.aio()

    begun = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(MANY)))
    return MANY / (time.perf_counter() - begun)


async def measure(state: Path) -> None:
    app = await modal.App.lookup.aio("bench", create_if_missing=True)
    await first_byte(app)  # makes the layers that all sandboxes share
    pairs = [(await first_byte(app), await bare_start(state, number)) for number in range(ROUNDS)]
    ours, bare = (statistics.median(times) * 1e3 for times in zip(*pairs, strict=True))
    print(f"create to first byte / bubblewrap   {ours / bare:5.2f} times (wanted: at most 5)", end="   ")
    print(f"{ours:.1f} ms / {bare:.1f} ms")
    pairs = [(await waited(app), await bare_start(state, ROUNDS + number)) for number in range(ROUNDS)]
    ours, bare = (statistics.median(times) * 1e3 for times in zip(*pairs, strict=True))
    print(f"true, created and waited / bubblewrap {ours / bare:4.2f} times", end="   ")
    print(f"{ours:.1f} ms (wanted: at most 60) / {bare:.1f} ms")
    print(
        f"sandboxes of true, {AT_ONCE} at a time    {await a_second(app):5.0f} a second (wanted: at least 30)"
    )
    cat = copied(state)
    taken = await taken_in(app)
    print(f"output of {PRINTERS} sandboxes / cat to a file  {taken / cat:4.2f} times", end="   ")
    print(f"{taken / 1e6:.0f} MB/s in all (wanted: at least 100) / {cat / 1e6:.0f} MB/s")


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
        daemon = LocalDaemon(Settings(home=Path(folder)))
        try:
            os.environ |= daemon.variables()
            asyncio.run(measure(daemon.state))
        finally:
            daemon.stop()


if __name__ == "__main__":
    main()
