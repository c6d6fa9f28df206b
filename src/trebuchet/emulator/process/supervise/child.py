"""One process of a sandbox and its standard streams: the sandbox's own command, or an exec in it."""

from __future__ import annotations

import errno
import fcntl
import os
import selectors
import struct
import termios
import time

from trebuchet.emulator.process.supervise import framing
from trebuchet.emulator.process.supervise.complaint import Complaint
from trebuchet.emulator.process.supervise.recorder import Recorder
from trebuchet.emulator.process.supervise.terminals import open_pair

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from trebuchet.emulator.process.supervise.notes import Notes

TIMED_OUT = 124
KILLED = 137
READ_SIZE = 1 << 16
_END_OF_INPUT = b"\x04"
_ERRORS_KEPT = 1000


class Child:
    """A process, the pipes (or the terminal) to it, its log, and in the end its result.

    Attributes:
        folder: Where its files lie, relative to the sandbox's folder (the working directory); `.` for its
            own.
        pid: Of the direct child of the supervisor that stands for it; 0 before it was spawned.
        deadline: On the monotonic clock; None for none.
        cause: Why the supervisor killed it; empty while it did not.
        stdio: What the process gets as 0, 1 and 2; closed here once it has them.
        last_errors: The end of what it wrote to its standard error last.
        complaint: Hears that bubblewrap cannot execute it; None for what bubblewrap does not.
    """

    def __init__(
        self,
        folder: str,
        order: dict[str, Any],
        selector: selectors.BaseSelector,
        notes: Notes,
        *,
        init_pid: int | None = None,
    ) -> None:
        """Open its streams.

        Args:
            folder: See above.
            order: What to run and how.
            selector: Tells when there is something to read.
            notes: Takes down that it runs, and how it ended.
            init_pid: The first process of the sandbox whose terminals it may have; None for the machine's.

        Raises:
            OSError: There is no room for so many; none is left open.
        """
        self.folder = folder
        self.pid = 0
        self.deadline: float | None = None
        self.cause = ""
        self.started_at: float | None = None
        self.last_errors = b""
        self.complaint = Complaint(order["argv"][0]) if order.get("bwrap") else None
        self.stdio = (-1, -1, -1)
        self._timeout_s: float | None = order["timeout_s"]
        self._selector = selector
        self._notes = notes
        self._terminal = -1
        self._typed = b""
        self._input = self._input_holder = -1
        self._streams: dict[int, int] = {}
        self._recorder = Recorder(os.path.join(folder, framing.LOG), order["log_limit"])
        try:
            self._open(init_pid, order["pty"])
        except OSError:
            self._close()
            raise

    def started(self, init_pid: int | None) -> None:
        """Note that it runs, and start its clock."""
        self.started_at = time.time()
        if self._timeout_s is not None:
            self.deadline = time.monotonic() + self._timeout_s
        path = os.path.join(self.folder, framing.RUNNING)
        self._notes.leave(path, {"started_at": self.started_at, "init_pid": init_pid})

    def release_stdio(self) -> None:
        """Close the process's own ends, so that its end can be read."""
        for descriptor in {descriptor for descriptor in self.stdio if descriptor >= 0}:
            os.close(descriptor)
        self.stdio = (-1, -1, -1)

    def close_input(self) -> None:
        """Let the process read the end of its input, after what was written so far."""
        if self._terminal >= 0 and self._input >= 0:
            self._type()
            self._typed += _END_OF_INPUT
            self._type_on(selectors.EVENT_READ)
        elif self._input_holder >= 0:
            os.close(self._input_holder)
            self._input_holder = -1

    def resize(self, rows: int, columns: int) -> None:
        if self._terminal >= 0:
            fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def drain(self) -> None:
        """Read what the pipes hold now, to the last byte."""
        for descriptor in tuple(self._streams):
            while descriptor in self._streams and self._read(descriptor):
                pass

    @property
    def drained(self) -> bool:
        """Whether every stream has been read to its end."""
        return not self._streams

    def finish(self, exit_code: int | None, cause: str, message: str = "") -> None:
        """Close everything and leave the result, last."""
        self._close()
        leave_result(self._notes, self.folder, exit_code, cause, message, started_at=self.started_at)

    def notice(self, text: str) -> None:
        """Let the log say something that the process did not."""
        self._recorder.append(framing.NOTICE, text.encode())

    def _open(self, init_pid: int | None, pty: tuple[int, int] | None) -> None:
        """Open all streams, each noted as soon as it is open, so that `_close` finds it."""
        fifo = os.path.join(self.folder, framing.STDIN)
        self._input = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._input_holder = _hold_open(fifo)
        if pty:
            self._open_terminal(init_pid, *pty)
        else:
            self._open_pipes()

    def _open_pipes(self) -> None:
        output, output_end = os.pipe()
        self.stdio = (-1, output_end, -1)
        self._listen(output, framing.STDOUT)
        errors, errors_end = os.pipe()
        self.stdio = (-1, output_end, errors_end)
        self._listen(errors, framing.STDERR)
        os.set_blocking(self._input, True)
        self.stdio = (self._input, output_end, errors_end)
        self._input = -1

    def _open_terminal(self, init_pid: int | None, rows: int, columns: int) -> None:
        self._terminal, end = open_pair(init_pid)
        self.stdio = (end, end, end)
        self._listen(self._terminal, framing.STDOUT)
        self.resize(rows, columns)
        self._selector.register(self._input, selectors.EVENT_READ, self._on_input)

    def _close(self) -> None:
        for descriptor in tuple(self._streams):
            self._forget(descriptor)
        self.release_stdio()
        for descriptor in (self._input, self._input_holder):
            if descriptor >= 0:
                self._unregister(descriptor)
                os.close(descriptor)
        self._input = self._input_holder = -1
        self._recorder.close()

    def _listen(self, descriptor: int, stream: int) -> None:
        os.set_blocking(descriptor, False)
        self._streams[descriptor] = stream
        self._selector.register(descriptor, selectors.EVENT_READ, self._on_output)

    def _on_output(self, descriptor: int, mask: int) -> bool:
        if mask & selectors.EVENT_WRITE:
            self._type_on(selectors.EVENT_READ)
        return bool(mask & selectors.EVENT_READ) and self._read(descriptor)

    def _read(self, descriptor: int) -> bool:
        try:
            data = os.read(descriptor, READ_SIZE)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno != errno.EIO:  # a terminal whose last process has gone says EIO for its end
                raise
            data = b""
        stream = self._streams[descriptor]
        if data:
            self._keep(stream, self._sifted(stream, data))
        else:
            self._keep(stream, self._sifted(stream, None))
            self._forget(descriptor)
        return bool(data)

    def _sifted(self, stream: int, data: bytes | None) -> bytes:
        """Output as it is to be kept; None stands for its end."""
        hears = self._terminal >= 0 or stream == framing.STDERR
        if self.complaint is None or not hears:
            return data or b""
        return self.complaint.rest() if data is None else self.complaint.sift(data)

    def _keep(self, stream: int, data: bytes) -> None:
        if not data:
            return
        self._recorder.append(stream, data)
        if stream == framing.STDERR or self._terminal >= 0:
            self.last_errors = (self.last_errors + data)[-_ERRORS_KEPT:]  # a line may come in pieces

    def _forget(self, descriptor: int) -> None:
        self._unregister(descriptor)
        os.close(descriptor)
        del self._streams[descriptor]
        if descriptor == self._terminal:
            self._terminal = -1

    def _unregister(self, descriptor: int) -> None:
        if descriptor in self._selector.get_map():
            self._selector.unregister(descriptor)

    def _on_input(self, descriptor: int, mask: int) -> bool:
        del descriptor, mask
        self._type()
        self._type_on(selectors.EVENT_READ)
        return False

    def _type(self) -> None:
        try:
            self._typed += os.read(self._input, READ_SIZE)
        except BlockingIOError:
            return

    def _type_on(self, wanted: int) -> None:
        """Write to the terminal what it takes; until it took all, leave the rest where it is."""
        if self._terminal < 0:
            return
        try:
            self._typed = self._typed[os.write(self._terminal, self._typed) :] if self._typed else b""
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            self._typed = b""
        if self._typed:
            wanted |= selectors.EVENT_WRITE
            self._unregister(self._input)
        elif self._input not in self._selector.get_map():
            self._selector.register(self._input, selectors.EVENT_READ, self._on_input)
        self._selector.modify(self._terminal, wanted, self._on_output)


def leave_result(
    notes: Notes,
    folder: str,
    exit_code: int | None,
    cause: str,
    message: str = "",
    *,
    started_at: float | None = None,
) -> None:
    """Leave the result of a process, also of one whose streams were never opened."""
    notes.leave(
        os.path.join(folder, framing.RESULT),
        {
            "exit_code": exit_code,
            "cause": cause,
            "message": message,
            "started_at": started_at,
            "ended_at": time.time(),
        },
    )


def _hold_open(fifo: str) -> int:
    """A writer of our own, so that the end of another writer is not the end of input."""
    try:
        return os.open(fifo, os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError:  # all that will ever be written has been written already
        return -1
