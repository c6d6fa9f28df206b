"""Sandboxes as processes: start, watch, feed, enter and end them.

All that is known of a process lies in its folder, written by a supervisor of its own that outlives this
Python process. A `ProcessHost` of a later daemon on the same state directory goes on where an earlier one was
killed: every method takes the folder, and no call has to come first.

Every method is made for an asyncio loop: those that are not coroutines take well under a millisecond.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import uuid
from typing import TYPE_CHECKING, Self

from trebuchet.emulator.process.errors import CannotStartError, NotRunningError, ProcessError
from trebuchet.emulator.process.forks import ForkServer
from trebuchet.emulator.process.isolation import Isolation, find_isolation
from trebuchet.emulator.process.limits import Limits
from trebuchet.emulator.process.lines import Changes, Switchboard
from trebuchet.emulator.process.log import LogRecord, RecordHead, read_end, read_heads, read_records
from trebuchet.emulator.process.orders import Machine, learn_machine, make_order, place_inside, prepare_folder
from trebuchet.emulator.process.removal import remove_file_system, remove_tree
from trebuchet.emulator.process.standard_input import open_input, write_all
from trebuchet.emulator.process.state import never_began, read_state, sandbox_of, take_lock
from trebuchet.emulator.process.supervise import framing
from trebuchet.emulator.process.turns import Turns

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from pathlib import Path

    from trebuchet.emulator.process.spec import ProcessSpec, ProcessState

READ_LIMIT = 1 << 20
_ALIVE = frozenset({"starting", "running"})
_LOOK_AGAIN_S = 5.0
"""The longest that anything here trusts a wake to come."""


class ProcessHost:
    """Runs processes for the engine whose state directory is `state`.

    Use it as an asynchronous context manager, within one running loop. Leaving it, or the death of this
    Python process, leaves all sandboxes running.
    """

    def __init__(
        self,
        state: Path,
        *,
        limits: Limits | None = None,
        isolation: Isolation | None = None,
        layers: Path | None = None,
    ) -> None:
        """Remember where things are; nothing is started.

        Args:
            state: The engine's state directory. No sandbox can see it.
            limits: What one sandbox may take; None for the usual.
            isolation: How to keep sandboxes apart; None for the best that works here.
            layers: Where the layers lie that all sandboxes share, of other engines too; None for
                `state/process`.
        """
        self._state = state.absolute()
        self._limits = limits or Limits()
        self._isolation = isolation
        self._layers = layers or self._state / "process"
        self._forks = ForkServer(self._state / "process" / "fork-server.log")
        self._switchboard = Switchboard()
        self._learning: asyncio.Task[Machine] | None = None
        self._writers: Turns[Path] = Turns()

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._make_state)
        self._learning = asyncio.create_task(self._learn())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._learning is not None:
            self._learning.cancel()
            with contextlib.suppress(asyncio.CancelledError, ProcessError, OSError):
                await self._learning
        self._switchboard.close()
        await self._forks.close()

    async def isolation(self) -> Isolation:
        """How sandboxes are kept apart from the host here, and what is missing.

        Raises:
            CannotStartError: The shared layers could not be made.
        """
        return (await self._machine()).isolation

    async def start(self, spec: ProcessSpec, folder: Path) -> None:
        """Accept a sandbox: from the return on it starts, whatever becomes of this Python process.

        Takes about 2 ms (the first call of a machine makes the sandboxes' Python and takes seconds). What
        goes wrong from here on, a command that does not exist say, is found in the state as `start_failed`.

        Args:
            spec: What to run.
            folder: Its folder, made if missing, below the state directory. One folder, one process, once.

        Raises:
            CannotStartError: The folder was used before, or no supervisor can be started.
        """
        machine = await self._machine()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = take_lock(folder)
        ours, theirs = socket.socketpair()
        try:
            os.mkfifo(folder / framing.STDIN, 0o600)
            if machine.seeds is not None:
                await asyncio.to_thread(prepare_folder, machine, spec, folder)
            order = make_order(machine, spec, folder, self._limits)
            await self._forks.send(order, (lock, theirs.fileno()))
        except BaseException:
            (folder / framing.LOCK).unlink()
            ours.close()
            raise
        finally:
            os.close(lock)
            theirs.close()
        self._switchboard.adopt(folder, ours)

    async def exec(
        self,
        folder: Path,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        workdir: str | None = None,
        timeout_s: float | None = None,
        pty: tuple[int, int] | None = None,
    ) -> Path:
        """Run another command inside a running sandbox, with standard streams and an exit code of its own.

        Args:
            folder: The sandbox's.
            argv: The command.
            env: Variables on top of the sandbox's own.
            workdir: Where it starts; None for the sandbox's own.
            timeout_s: Seconds until it is killed, alone, and marked `timeout`.
            pty: (rows, columns) where it wants a terminal.

        Returns:
            A folder that every other method of this class takes in place of a sandbox's. It ends with the
            sandbox at the latest, and lies within its folder.

        Raises:
            NotRunningError: The sandbox has ended or was never started. (While it is starting, this waits.)
        """
        machine = await self._machine()
        await self._until_reachable(folder)
        name = f"{framing.EXECS}/{uuid.uuid4().hex}"
        inside = folder / name
        inside.mkdir(parents=True, mode=0o700)
        os.mkfifo(inside / framing.STDIN, 0o600)
        request = {
            "do": "exec",
            "folder": name,
            "argv": list(argv),
            "env": dict(env or {}),
            "workdir": place_inside(machine, folder, workdir) if workdir else None,
            "timeout_s": timeout_s,
            "pty": pty,
            "log_limit": self._limits.log_bytes,
        }
        if not self._send(inside, request):
            raise NotRunningError("The sandbox has ended.")
        return inside

    def state(self, folder: Path) -> ProcessState:
        """What the traces in the folder say now.

        Raises:
            NotRunningError: No process was ever accepted for this folder.
        """
        return read_state(folder)

    def withdraw(self, folder: Path) -> bool:
        """Let a folder be used again of which the process never began; whether that was so.

        It is where an earlier daemon was killed while it handed a process over. A wish to end it stays.
        """
        if not never_began(folder):
            return False
        for path in folder.iterdir():
            if path.name not in {framing.LOCK, framing.TERMINATE}:
                remove_tree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        (folder / framing.LOCK).unlink()  # last, so that one who is killed in here leaves it to do again
        return True

    def terminate(self, folder: Path) -> None:
        """Ask for the end of the whole tree, by SIGKILL. Returns at once; an ended process stays as it is.

        Before the process has started it is remembered, also on disk: it then ends as `terminated` unstarted.
        It may come before `start`.
        """
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (folder / framing.TERMINATE).touch(mode=0o600)
        self._send(folder, {"do": "terminate", "folder": _name_of(folder)})

    def read_log(self, folder: Path, offset: int = 0, limit: int = READ_LIMIT) -> tuple[list[LogRecord], int]:
        """Whole records from `offset` on (0, or what an earlier call returned), about `limit` bytes of them.

        Returns:
            The records, none if there is nothing new, and the offset to go on from.
        """
        return read_records(folder / framing.LOG, offset, limit)

    def read_log_heads(
        self, folder: Path, offset: int, most: int, end: int | None = None
    ) -> tuple[list[RecordHead], int]:
        """The heads of the next whole records before `end`, at most so many, and the offset to go on from."""
        return read_heads(folder / framing.LOG, offset, most, end)

    def read_log_end(self, folder: Path, head: RecordHead, length: int) -> bytes:
        """The last bytes of a record, at most so many."""
        return read_end(folder / framing.LOG, head, length)

    def watch(self, folder: Path) -> Changes:
        """Begin to watch a folder; the watch ends when the object is dropped."""
        return self._switchboard.watch(sandbox_of(folder))

    async def follow(self, folder: Path, offset: int = 0) -> AsyncIterator[tuple[list[LogRecord], int]]:
        """The log as it grows: non-empty batches of records, each with the offset after it.

        It ends with the process, after its last byte.

        Raises:
            NotRunningError: No process was ever accepted for this folder.
        """
        changes = self.watch(folder)
        while True:
            over = self.state(folder).phase not in _ALIVE  # before reading, so that nothing comes in between
            records, offset = self.read_log(folder, offset)
            if records:
                yield records, offset
            elif over:
                return
            else:
                await changes.wait(_LOOK_AGAIN_S)

    async def wait_end(self, folder: Path, timeout_s: float | None = None) -> ProcessState:
        """The state once the process has ended or is lost, or, at `timeout_s`, as it then is."""
        return await self._leave(folder, _ALIVE, timeout_s)

    async def wait_started(self, folder: Path, timeout_s: float | None = None) -> ProcessState:
        """The state once the process has left `starting`, or, at `timeout_s`, as it then is."""
        return await self._leave(folder, frozenset({"starting"}), timeout_s)

    async def write_stdin(
        self,
        folder: Path,
        data: bytes,
        *,
        eof: bool = False,
        on_written: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Write to the standard input, waiting while the process does not read; then close it if `eof`.

        One writer at a time a folder; a second call waits for the first. One that is cancelled has written
        what `on_written` was told of: it is called with the number of bytes of each part, once written.

        Raises:
            NotRunningError: The process has ended, or its input was closed. (While it is starting, this
                waits.)
        """
        async with self._writers.turn(folder):
            descriptor = await self._open_input(folder)
            try:
                await write_all(descriptor, data, on_written)
                if eof:
                    (folder / framing.STDIN).unlink(missing_ok=True)
            finally:
                os.close(descriptor)
            if eof:
                self._send(folder, {"do": "end_input", "folder": _name_of(folder)})

    def resize(self, folder: Path, rows: int, columns: int) -> None:
        """Tell a process with a terminal its new size; no effect on any other."""
        self._send(folder, {"do": "resize", "folder": _name_of(folder), "rows": rows, "columns": columns})

    async def cleanup(self, folder: Path) -> None:
        """Remove what an ended sandbox wrote to its file system; its log and its result stay.

        Raises:
            ProcessError: It still runs.
        """
        if self.state(folder).phase in _ALIVE:
            raise ProcessError("The sandbox still runs.")
        await asyncio.to_thread(remove_file_system, folder)

    def _make_state(self) -> None:
        self._state.mkdir(parents=True, exist_ok=True, mode=0o700)

    async def _machine(self) -> Machine:
        if self._learning is None:
            raise CannotStartError("The process host is used outside its context.")
        if self._learning.done() and (self._learning.cancelled() or self._learning.exception() is not None):
            self._learning = asyncio.create_task(self._learn())  # what was missing may be there by now
        return await asyncio.shield(self._learning)

    async def _learn(self) -> Machine:
        isolation = self._isolation or await asyncio.to_thread(find_isolation, self._state)
        return await learn_machine(self._state, self._layers, isolation)

    def _send(self, folder: Path, request: Mapping[str, object]) -> bool:
        line = self._switchboard.line(sandbox_of(folder))
        if line is not None:
            line.send(request)
        return line is not None

    async def _until_reachable(self, folder: Path) -> None:
        changes = self.watch(folder)
        while self.state(folder).phase in _ALIVE:
            if self._switchboard.line(sandbox_of(folder)) is not None:
                return
            await changes.wait(_LOOK_AGAIN_S)
        raise NotRunningError("The sandbox has ended.")

    async def _leave(self, folder: Path, phases: frozenset[str], timeout_s: float | None) -> ProcessState:
        changes = self.watch(folder)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self.state(folder).phase in phases:
                    await changes.wait(_LOOK_AGAIN_S)
        return self.state(folder)

    async def _open_input(self, folder: Path) -> int:
        changes = self.watch(folder)
        while True:
            phase = self.state(folder).phase
            descriptor = open_input(folder)
            if descriptor is not None:
                return descriptor
            if phase != "starting":
                raise NotRunningError(
                    "The process does not read its standard input: it has ended, or closed it."
                )
            await changes.wait(_LOOK_AGAIN_S)


def _name_of(folder: Path) -> str:
    """How its supervisor calls it."""
    return "." if sandbox_of(folder) == folder else f"{framing.EXECS}/{folder.name}"
