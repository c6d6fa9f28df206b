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
        *,
        init_pid: int | None = None,
    ) -> None:
        """Open its streams.

        Args:
            folder: See above.
            order: What to run and how.
            selector: Tells when there is something to read.
            init_pid: The first process of the sandbox whose terminals it may have; None for the machine's.
        """
        self.folder = folder
        self.pid = 0
        self.deadline: float | None = None
        self.cause = ""
        self.started_at: float | None = None
        self.last_errors = b""
        self.complaint = Complaint(order["argv"][0]) if order.get("bwrap") else None
        self._timeout_s: float | None = order["timeout_s"]
        self._recorder = Recorder(os.path.join(folder, framing.LOG), order["log_limit"])
        self._selector = selector
        self._terminal = -1
        self._typed = b""
        fifo = os.path.join(folder, framing.STDIN)
        self._input = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._input_holder = _hold_open(fifo)
        self._streams: dict[int, int] = {}
        self.stdio = self._open_terminal(init_pid, *order["pty"]) if order["pty"] else self._open_pipes()

    def started(self, init_pid: int | None) -> None:
        """Note that it runs, and start its clock."""
        self.started_at = time.time()
        if self._timeout_s is not None:
            self.deadline = time.monotonic() + self._timeout_s
        path = os.path.join(self.folder, framing.RUNNING)
        framing.write_object(path, {"started_at": self.started_at, "init_pid": init_pid})

    def release_stdio(self) -> None:
        """Close the process's own ends, so that its end can be read."""
        for descriptor in set(self.stdio):
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
        for descriptor in tuple(self._streams):
            self._forget(descriptor)
        self.release_stdio_if_held()
        for descriptor in (self._input, self._input_holder):
            if descriptor >= 0:
                self._unregister(descriptor)
                os.close(descriptor)
        self._input = self._input_holder = -1
        self._recorder.close()
        framing.write_object(
            os.path.join(self.folder, framing.RESULT),
            {
                "exit_code": exit_code,
                "cause": cause,
                "message": message,
                "started_at": self.started_at,
                "ended_at": time.time(),
            },
        )

    def notice(self, text: str) -> None:
        """Let the log say something that the process did not."""
        self._recorder.append(framing.NOTICE, text.encode())

    def release_stdio_if_held(self) -> None:
        if self.stdio[0] >= 0:
            self.release_stdio()

    def _open_pipes(self) -> tuple[int, int, int]:
        output, output_end = os.pipe()
        errors, errors_end = os.pipe()
        self._listen(output, framing.STDOUT)
        self._listen(errors, framing.STDERR)
        os.set_blocking(self._input, True)
        given, self._input = self._input, -1
        return given, output_end, errors_end

    def _open_terminal(self, init_pid: int | None, rows: int, columns: int) -> tuple[int, int, int]:
        self._terminal, end = open_pair(init_pid)
        self.resize(rows, columns)
        self._listen(self._terminal, framing.STDOUT)
        self._selector.register(self._input, selectors.EVENT_READ, self._on_input)
        return end, end, end

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


def _hold_open(fifo: str) -> int:
    """A writer of our own, so that the end of another writer is not the end of input."""
    try:
        return os.open(fifo, os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError:  # all that will ever be written has been written already
        return -1
