"""Watches over one sandbox from start to end: records, feeds, times out, kills, and leaves the result.

It is a process of its own, in its own session, and works with no daemon alive. Its working directory is the
sandbox's folder, and every path in here is relative to it.
"""

from __future__ import annotations

import contextlib
import functools
import os
import selectors
import signal
import socket
import time

from trebuchet.emulator.process.supervise import framing
from trebuchet.emulator.process.supervise.appetite import Appetite
from trebuchet.emulator.process.supervise.beneath import open_beneath
from trebuchet.emulator.process.supervise.box import Bubblewrap, PlainGroup, code_of
from trebuchet.emulator.process.supervise.cgroup import Cgroup
from trebuchet.emulator.process.supervise.child import KILLED, TIMED_OUT, Child, leave_result
from trebuchet.emulator.process.supervise.disk_use import DiskUse
from trebuchet.emulator.process.supervise.execs import Execs
from trebuchet.emulator.process.supervise.nodes import make_nodes
from trebuchet.emulator.process.supervise.notes import Notes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NEVER_BEGAN = 127
"""As a shell says it: there is no such command, or it cannot be executed."""
_LAST_OUTPUT_S = 10.0
"""How long output is waited for after everything was killed; only a process stuck in the kernel takes it."""
_NOT_READY_S = 0.002
_BACKLOG = 64
_MESSAGE_SIZE = 1 << 16


class Supervisor:
    def __init__(self, order: dict[str, Any], line: socket.socket, starting: int) -> None:
        """Take over an order.

        Args:
            order: What to run and how; see `orders.py` on the other side.
            line: A connected socket to who ordered it.
            starting: A descriptor to close when the sandbox runs, so that the next may start.
        """
        self._order = order
        self._starting = starting
        self._selector = selectors.DefaultSelector()
        self._lines: dict[socket.socket, bytearray] = {}
        self._notes = Notes()
        self._execs = Execs(order, self._selector, self._notes)
        self._waiting: list[dict[str, Any]] = []
        self._main = Child(".", order, self._selector, self._notes)
        self._box = Bubblewrap(order) if order["bwrap"] else PlainGroup(order)
        self._group = Cgroup(order["cgroup"])
        self._appetite = Appetite(order["memory_mib"], order["processes"])
        self._disk = DiskUse(order["disk_bytes"], order["keep_free_bytes"])
        self._wait_status: int | None = None
        self._excess = ""
        self._told = False
        self._add_line(line)

    def run(self) -> None:
        """Run the sandbox to its end."""
        listener = self._listen()
        self._catch_children()
        if os.path.exists(framing.TERMINATE):
            self._main.finish(KILLED, "terminated")
            self._notes.finish()
            return
        if self._start():
            while self._wait_status is None:
                self._step()
                if _is_homeless():
                    self._box.kill(self._main)
                    self._group.remove()
                    return
            self._end()
        self._notes.finish()
        listener.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(framing.CONTROL)

    def _listen(self) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(framing.CONTROL)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ, self._on_connect)
        self._listener = listener
        return listener

    def _catch_children(self) -> None:
        woken, wake = socket.socketpair()
        woken.setblocking(False)
        wake.setblocking(False)
        self._wake = wake
        signal.set_wakeup_fd(wake.fileno())
        signal.signal(signal.SIGCHLD, _ignore)
        self._selector.register(woken, selectors.EVENT_READ, self._on_children)
        self._woken = woken

    def _start(self) -> bool:
        try:
            for path, mode in self._order["folders"]:
                _make_folder(path, mode)
            if self._order["folder_beneath"]:
                _make_beneath(*self._order["folder_beneath"])
            make_nodes(self._order["nodes"])
            self._group.make()
            if self._group.holds_memory:
                self._appetite = Appetite(None, self._order["processes"])
            self._box.spawn(self._main, self._group.procs)
        except OSError as error:
            self._group.remove()
            self._main.finish(None, "start_failed", str(error))
            return False
        self._main.release_stdio()
        if self._box.status >= 0:
            self._selector.register(self._box.status, selectors.EVENT_READ, self._on_status)
        else:
            self._note_start()
        return True

    def _note_start(self) -> None:
        self._main.started(self._box.init_pid)
        os.close(self._starting)

    # The loop

    def _step(self) -> None:
        if self._dispatch(self._patience()):
            self._told = True
        if self._waiting and self._box.ready():
            waiting, self._waiting = self._waiting, []
            init_pid = self._box.init_pid if self._box.namespaced else None
            for request in waiting:
                self._execs.start(request, init_pid, self._group.procs)
            self._told = True
        self._enforce_deadlines()
        self._enforce_limits()
        if self._notes.try_again():
            self._told = True
        self._tell()

    def _dispatch(self, patience_s: float | None) -> bool:
        """Wait for events and serve them; whether any is worth telling."""
        worth_telling = False
        for key, mask in self._selector.select(patience_s):
            # Serving one event may close what a later one is about, and its number may have a new owner.
            if self._selector.get_map().get(key.fd) is key and key.data(key.fd, mask):
                worth_telling = True
        return worth_telling

    def _patience(self) -> float | None:
        if self._waiting:
            return _NOT_READY_S
        children = [self._main, *self._execs.children]
        deadlines = [child.deadline for child in children if child.deadline is not None]
        soon = min(self._appetite.patience, self._disk.patience, self._notes.patience)
        return max(0.0, min(soon, min(deadlines) - time.monotonic())) if deadlines else soon

    def _enforce_deadlines(self) -> None:
        if self._main.deadline is not None and time.monotonic() >= self._main.deadline:
            self._main.deadline = None
            self._kill("timeout")
        self._execs.end_late()

    def _enforce_limits(self) -> None:
        excess = None if self._main.cause else self._appetite.excess() or self._disk.excess()
        if excess is not None:
            cause, self._excess = excess
            self._main.notice(f"{self._excess} It was ended.\n")
            self._kill(cause)

    def _on_status(self, descriptor: int, mask: int) -> bool:
        del mask
        if self._box.read_status():
            self._note_start()
            if self._main.cause:
                self._box.kill(self._main)
            return True
        if self._box.finished_reporting:
            self._selector.unregister(descriptor)
        return False

    def _on_children(self, descriptor: int, mask: int) -> bool:
        del descriptor, mask
        with contextlib.suppress(BlockingIOError):
            self._woken.recv(_MESSAGE_SIZE)
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                if pid == self._main.pid:
                    self._wait_status = status
                elif pid in self._execs.pids:
                    self._end_exec(pid, status)
        return True

    # The end

    def _kill(self, cause: str) -> None:
        if not self._main.cause:
            self._main.cause = cause
        self._box.kill(self._main)

    def _end(self) -> None:
        """The command has ended: end what it left behind, keep every byte of output, leave the result."""
        self._box.kill(self._main)
        if not self._main.cause and self._group.ran_out_of_memory():
            self._main.cause = "out_of_memory"
            self._excess = f"The sandbox took more than its {self._order['memory_mib']} MiB of memory."
            self._main.notice(f"{self._excess} It was ended.\n")
        exit_code = self._box.exit_code(self._wait_status or 0)
        if self._box.namespaced:
            self._read_to_the_end()
        self._main.drain()
        for pid in self._execs.pids:
            self._end_exec(pid, os.waitpid(pid, 0)[1])
        self._box.close()
        self._group.remove()
        self._finish(exit_code)

    def _finish(self, exit_code: int | None) -> None:
        main = self._main
        if exit_code is not None and not (main.cause and exit_code == KILLED):
            main.finish(exit_code, "exit")
        elif main.cause:
            main.finish(TIMED_OUT if main.cause == "timeout" else KILLED, main.cause, self._excess)
        elif self._wait_status is not None and os.WIFSIGNALED(self._wait_status):
            main.finish(code_of(self._wait_status), "exit")
        else:
            never_began = main.complaint is not None and main.complaint.heard
            why = main.last_errors.decode(errors="replace").strip()
            main.finish(NEVER_BEGAN if never_began else None, "start_failed", why)

    def _read_to_the_end(self) -> None:
        until = time.monotonic() + _LAST_OUTPUT_S
        while not self._main.drained and time.monotonic() < until:
            self._dispatch(until - time.monotonic())
            self._tell()

    def _end_exec(self, pid: int, status: int) -> None:
        ending = bool(self._main.cause) or self._wait_status is not None
        self._execs.end(pid, status, sandbox_ends=ending)
        self._told = True

    # Lines to daemons

    def _add_line(self, line: socket.socket) -> None:
        line.setblocking(False)
        self._lines[line] = bytearray()
        self._selector.register(line, selectors.EVENT_READ, functools.partial(self._on_line, line))

    def _on_connect(self, descriptor: int, mask: int) -> bool:
        del descriptor, mask
        with contextlib.suppress(BlockingIOError):
            self._add_line(self._listener.accept()[0])
        return True  # what happened between its connecting and now it has not been told

    def _on_line(self, line: socket.socket, descriptor: int, mask: int) -> bool:
        del descriptor, mask
        try:
            data = line.recv(_MESSAGE_SIZE)
        except BlockingIOError:
            return False
        except ConnectionError:
            data = b""
        if not data:
            self._selector.unregister(line)
            del self._lines[line]
            line.close()
            return False
        self._lines[line] += data
        for request in framing.take_messages(self._lines[line]):
            self._obey(request)
        return False

    def _obey(self, request: dict[str, Any]) -> None:
        match request["do"]:
            case "terminate":
                self._terminate(request["folder"])
            case "exec":
                self._waiting.append(request)
            case "end_input":
                for child in self._named(request["folder"]):
                    child.close_input()
            case "resize":
                for child in self._named(request["folder"]):
                    child.resize(request["rows"], request["columns"])
            case _:
                pass  # of a later version than this supervisor's

    def _terminate(self, folder: str) -> None:
        if folder == ".":
            self._kill("terminated")
            return
        for request in [request for request in self._waiting if request["folder"] == folder]:
            self._waiting.remove(request)
            leave_result(self._notes, folder, KILLED, "terminated")
            self._told = True
        self._execs.terminate(folder)

    def _named(self, folder: str) -> list[Child]:
        children = [self._main, *self._execs.children]
        return [child for child in children if child.folder == folder]

    def _tell(self) -> None:
        """Wake whoever watches. One whose socket is full has earlier wakes to read, and will look."""
        if not self._told:
            return
        self._told = False
        for line in self._lines:
            with contextlib.suppress(OSError):
                line.send(b".")


def _is_homeless() -> bool:
    """Whether the sandbox's folder was removed: nobody can reach it any more, or learn how it ends."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return False


def _ignore(number: int, frame: object) -> None:
    """Let the signal wake the loop; that is all it is for."""


def _make_folder(path: str, mode: int) -> None:
    with contextlib.suppress(FileExistsError):
        os.mkdir(path)
        os.chmod(path, mode)


def _make_beneath(root: str, path: str) -> None:
    """Where a link is on the way, the command finds by itself where that leads."""
    with contextlib.suppress(OSError):
        os.close(open_beneath(root, path, make=True))
