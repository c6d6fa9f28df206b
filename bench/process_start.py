"""What a sandbox of the local engine costs, next to bubblewrap alone with the same arguments.

    python bench/process_start.py

Prints: the time to the first byte of `echo` as a ratio to bare bubblewrap's, sandboxes of `true` a second
(16 at a time), memory a sleeping sandbox, output in MB/s, and the time of an exec.
"""

from __future__ import annotations

import asyncio
import re
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from trebuchet.emulator.process.host import ProcessHost
from trebuchet.emulator.process.limits import Limits
from trebuchet.emulator.process.orders import learn_machine, make_order
from trebuchet.emulator.process.spec import ProcessSpec
from trebuchet.emulator.process.supervise import framing
from trebuchet.emulator.process.supervise.nodes import make_nodes

ROUNDS = 40
MANY = 200
AT_ONCE = 16
SLEEPERS = 20
OUTPUT_MB = 500

_numbers = iter(range(1_000_000))


def _folder(state: Path) -> Path:
    return state / "sandboxes" / str(next(_numbers))


async def _first_byte(host: ProcessHost, state: Path) -> float:
    folder = _folder(state)
    begun = time.perf_counter()
    await host.start(ProcessSpec(id="bench", argv=("echo", "hello")), folder)
    async for _ in host.follow(folder):
        return time.perf_counter() - begun
    raise AssertionError(host.state(folder))


async def _bare(host: ProcessHost, state: Path) -> float:
    """Bubblewrap with the arguments a supervisor would give it, its output read from a pipe."""
    folder = _folder(state)
    machine = await learn_machine(state, state / "process", await host.isolation())
    order = make_order(machine, ProcessSpec(id="bench", argv=("echo", "hello")), folder, Limits())
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


async def _a_second(host: ProcessHost, state: Path) -> float:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one() -> None:
        async with gate:
            folder = _folder(state)
            await host.start(ProcessSpec(id="bench", argv=("true",)), folder)
            assert (await host.wait_end(folder)).exit_code == 0

    begun = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(MANY)))
    return MANY / (time.perf_counter() - begun)


async def _memory(host: ProcessHost, state: Path) -> float:
    """MiB of a sleeping sandbox: supervisor, bubblewrap twice, `sleep`; shared pages by their share."""
    folders = [_folder(state) for _ in range(SLEEPERS)]
    for folder in folders:
        await host.start(ProcessSpec(id="bench", argv=("sleep", "1000")), folder)
    total = 0
    for folder in folders:
        await host.wait_started(folder)
    await asyncio.sleep(0.5)
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cwd").readlink() in folders or _is_sleeper(entry):
                total += _share(entry)
        except OSError:
            continue
    for folder in folders:
        host.terminate(folder)
        await host.wait_end(folder)
    return total / 1024 / SLEEPERS


def _is_sleeper(entry: Path) -> bool:
    return (entry / "cmdline").read_bytes() == b"sleep\x001000\x00"


def _share(entry: Path) -> int:
    found = re.search(r"^Pss:\s+(\d+)", (entry / "smaps_rollup").read_text(), re.MULTILINE)
    return int(found[1]) if found else 0


async def _output(host: ProcessHost, state: Path) -> float:
    folder = _folder(state)
    script = f"head -c {OUTPUT_MB}000000 /dev/zero"
    begun = time.perf_counter()
    await host.start(ProcessSpec(id="bench", argv=("sh", "-c", script)), folder)
    count = 0
    async for records, _ in host.follow(folder):
        count += sum(len(record.data) for record in records)
    assert count == OUTPUT_MB * 1_000_000
    return OUTPUT_MB / (time.perf_counter() - begun)


async def _exec(host: ProcessHost, state: Path) -> float:
    folder = _folder(state)
    await host.start(ProcessSpec(id="bench", argv=()), folder)
    times: list[float] = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        await host.wait_end(await host.exec(folder, ("true",)))
        times.append(time.perf_counter() - begun)
    host.terminate(folder)
    await host.wait_end(folder)
    return statistics.median(times)


async def main() -> None:
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as name:
        state = Path(name)
        async with ProcessHost(state) as host:
            begun = time.perf_counter()
            isolation = await host.isolation()
            print(f"isolation                    {isolation.mode}")
            print(f"first use of a machine       {time.perf_counter() - begun:.2f} s (its layers are made)")
            pairs = [(await _first_byte(host, state), await _bare(host, state)) for _ in range(ROUNDS)]
            ours, bare = (statistics.median(times) * 1e3 for times in zip(*pairs, strict=True))
            print(f"start to first byte of echo  {ours:.1f} ms, {ours / bare:.2f} x bare bubblewrap")
            print(f"sandboxes of true            {await _a_second(host, state):.0f} a second")
            print(f"memory, sleeping             {await _memory(host, state):.1f} MiB a sandbox")
            print(f"output                       {await _output(host, state):.0f} MB/s")
            print(f"exec of true                 {await _exec(host, state) * 1e3:.1f} ms")


if __name__ == "__main__":
    asyncio.run(main())
