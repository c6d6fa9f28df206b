"""Driving real sandboxes through `ProcessHost`, as the daemon does."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trebuchet.emulator.process.host import ProcessHost
from trebuchet.emulator.process.log import NOTICE, STDERR, STDOUT
from trebuchet.emulator.process.spec import ProcessSpec, ProcessState

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class Ended:
    """A process after its end."""

    stdout: bytes
    stderr: bytes
    notices: bytes
    state: ProcessState
    folder: Path


class Sandboxes:
    """What a test does with sandboxes, on top of the host."""

    def __init__(self, host: ProcessHost, state: Path) -> None:
        self.host = host
        self.state = state

    def folder(self) -> Path:
        return self.state / "sandboxes" / f"{time.time_ns()}-{os.getpid()}"

    async def start(self, script: str, **fields: Any) -> Path:
        folder = self.folder()
        await self.host.start(ProcessSpec(id=folder.name, argv=("bash", "-c", script), **fields), folder)
        return folder

    async def ended(self, folder: Path) -> Ended:
        streams = {STDOUT: bytearray(), STDERR: bytearray(), NOTICE: bytearray()}
        async for records, _ in self.host.follow(folder):
            for record in records:
                streams[record.stream] += record.data
        found = (bytes(streams[stream]) for stream in (STDOUT, STDERR, NOTICE))
        return Ended(*found, self.host.state(folder), folder)

    async def run(self, script: str, **fields: Any) -> Ended:
        return await self.ended(await self.start(script, **fields))

    async def exec(self, folder: Path, script: str, **options: Any) -> Ended:
        return await self.ended(await self.host.exec(folder, ("bash", "-c", script), **options))

    async def printed(self, folder: Path, text: bytes) -> None:
        """Wait until a process has printed something."""
        seen = bytearray()
        async for records, _ in self.host.follow(folder):
            for record in records:
                seen += record.data
            if text in seen:
                return
        raise AssertionError(f"it ended and never printed {text!r}: {bytes(seen)!r}")


async def warm_up(state: Path) -> None:
    """Make the layers that all sandboxes share, which takes seconds, and run a first one."""
    async with ProcessHost(state) as host:
        ended = await Sandboxes(host, state).run("true")
        assert ended.state.exit_code == 0, ended


def end_now(state: Path, folder: Path) -> None:
    async def end() -> None:
        async with ProcessHost(state) as host:
            host.terminate(folder)
            await host.wait_end(folder, 10)

    asyncio.run(end())


async def until(condition: Callable[[], bool], within_s: float = 10) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come to hold in time"
        await asyncio.sleep(0.01)


def processes_with(mark: str) -> list[int]:
    """The host's processes that have this text among their arguments, and are alive."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            if mark.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


def supervisor_of(folder: Path) -> int:
    """The pid of a sandbox's supervisor: the parent of the first process's parent, bubblewrap."""
    init = ProcessHost(folder.parents[1]).state(folder).init_pid
    assert init is not None
    return parent_of(parent_of(init))


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
