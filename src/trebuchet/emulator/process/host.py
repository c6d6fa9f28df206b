"""Sandboxes as processes: start, watch, feed, enter and end them.

All that is known of a process lies in its folder, written by a supervisor of its own that outlives this Python
process. A `ProcessHost` of a later daemon on the same state directory goes on where an earlier one was killed: every
method takes the folder, and no call has to come first.

Every method is made for an asyncio loop: those that are not coroutines take well under a millisecond.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

    from trebuchet.emulator.process.log import LogRecord
    from trebuchet.emulator.process.spec import ProcessSpec, ProcessState

READ_LIMIT = 1 << 20


class Changes:
    """Tells one watcher that something about one folder may have changed: new output, a phase, an exec in it."""

    async def wait(self, timeout_s: float | None = None) -> None:
        """Return at the next change, at once if one came since the last return (or since the watch began).

        It may return with nothing changed: read again, whatever the reason. At `timeout_s` it returns too.
        """
        raise NotImplementedError


class ProcessHost:
    """Runs processes for the engine whose state directory is `state`.

    Use it as an asynchronous context manager, within one running loop. Leaving it, or the death of this Python
    process, leaves all sandboxes running.
    """

    def __init__(self, state: Path) -> None:
        """Remember where things are; nothing is started.

        Args:
            state: The engine's state directory, absolute. No sandbox can see it. Caches go to `state/process`.
        """
        self._state = state

    async def __aenter__(self) -> Self:
        raise NotImplementedError

    async def __aexit__(self, *_: object) -> None:
        raise NotImplementedError

    async def start(self, spec: ProcessSpec, folder: Path) -> None:
        """Accept a sandbox: from the return on it starts, whatever becomes of this Python process.

        Takes about 2 ms (the first call of a machine makes the sandboxes' Python and takes seconds). What goes
        wrong from here on, a command that does not exist say, is found in the state as `start_failed`.

        Args:
            spec: What to run.
            folder: Its folder, made if missing, below the state directory. One folder, one process, once.

        Raises:
            CannotStartError: The folder was used before, or no supervisor can be started.
        """
        raise NotImplementedError

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
            A folder that every other method of this class takes in place of a sandbox's. It ends with the sandbox
            at the latest, and lies within its folder.

        Raises:
            NotRunningError: The sandbox has ended or was never started. (While it is starting, this waits.)
        """
        raise NotImplementedError

    def state(self, folder: Path) -> ProcessState:
        """What the traces in the folder say now.

        Raises:
            NotRunningError: No process was ever accepted for this folder.
        """
        raise NotImplementedError

    def terminate(self, folder: Path) -> None:
        """Ask for the end of the whole tree, by SIGKILL. Returns at once; an ended process stays as it is.

        Before the process has started it is remembered, also on disk: it then ends as `terminated` unstarted. It
        may come before `start`.
        """
        raise NotImplementedError

    def read_log(self, folder: Path, offset: int = 0, limit: int = READ_LIMIT) -> tuple[list[LogRecord], int]:
        """Whole records from `offset` on (0, or what an earlier call returned), about `limit` bytes of them.

        Returns:
            The records, none if there is nothing new, and the offset to go on from.
        """
        raise NotImplementedError

    def watch(self, folder: Path) -> Changes:
        """Begin to watch a folder; the watch ends when the object is dropped."""
        raise NotImplementedError

    def follow(self, folder: Path, offset: int = 0) -> AsyncIterator[tuple[list[LogRecord], int]]:
        """The log as it grows: non-empty batches of records, each with the offset after it. Ends with the process,
        after its last byte.
        """
        raise NotImplementedError

    async def wait_end(self, folder: Path, timeout_s: float | None = None) -> ProcessState:
        """The state once the process has ended or is lost, or, at `timeout_s`, as it then is."""
        raise NotImplementedError

    async def wait_started(self, folder: Path, timeout_s: float | None = None) -> ProcessState:
        """The state once the process has left `starting`, or, at `timeout_s`, as it then is."""
        raise NotImplementedError

    async def write_stdin(self, folder: Path, data: bytes, *, eof: bool = False) -> None:
        """Write to the standard input, waiting while the process does not read; then close it if `eof`.

        One writer at a time a folder; a second call waits for the first.

        Raises:
            NotRunningError: The process has ended, or its input was closed. (While it is starting, this waits.)
        """
        raise NotImplementedError

    def resize(self, folder: Path, rows: int, columns: int) -> None:
        """Tell a process with a terminal its new size; no effect on any other."""
        raise NotImplementedError

    async def cleanup(self, folder: Path) -> None:
        """Remove what an ended sandbox wrote to its file system; its log and its result stay.

        Raises:
            ProcessError: It still runs.
        """
        raise NotImplementedError
