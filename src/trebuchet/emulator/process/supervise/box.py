"""The two kinds of container, as the supervisor sees them: how each starts, is entered and dies."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import signal

from trebuchet.emulator.process.supervise import framing
from trebuchet.emulator.process.supervise.beneath import open_beneath
from trebuchet.emulator.process.supervise.descendants import kill_descendants
from trebuchet.emulator.process.supervise.loader import told_apart
from trebuchet.emulator.process.supervise.spawn import spawn
from trebuchet.emulator.process.supervise.untouchable import open_untouchable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from trebuchet.emulator.process.supervise.child import Child

_PR_SET_CHILD_SUBREAPER = 36


class Bubblewrap:
    """A container of namespaces. Its first process, pid 1 inside, takes all others with it when it dies.

    Attributes:
        status: Where bubblewrap reports; the supervisor watches it and calls `read_status`.
        init_pid: The host's number of the container's first process; None until it is known.
        namespaced: Whether a process has to join namespaces to be inside.
        finished_reporting: Whether nothing more will come from `status`.
    """

    namespaced = True

    def __init__(self, order: dict[str, Any]) -> None:
        self.status = -1
        self.init_pid: int | None = None
        self._init = -1
        self._order = order
        self._reported = b""
        self._exit_code: int | None = None
        self._ready = False
        self.finished_reporting = False

    def spawn(self, child: Child, group: str) -> None:
        """Start the container with its command, in this control group.

        Raises:
            OSError: bubblewrap cannot be executed.
        """
        order = self._order
        opened: list[int] = []
        closed: list[int] = []
        arguments = os.memfd_create("arguments")
        self.status, status_end = os.pipe()
        os.set_blocking(self.status, False)
        env, words = told_apart(order["env"], order["libraries"])
        try:
            program = open_untouchable(order["program"])
            closed.append(program)
            os.write(arguments, _packed([*order["bwrap"], *words], opened))
            os.lseek(arguments, 0, os.SEEK_SET)
            argv = [
                order["program"],
                "--args",
                str(arguments),
                "--json-status-fd",
                str(status_end),
                "--",
                *order["argv"],
            ]
            child.pid = spawn(
                program,
                argv,
                env,
                child.stdio,
                passed=(arguments, status_end, *opened),
                open_files=order["open_files"],
                group=group,
            )
        finally:
            for descriptor in (arguments, status_end, *opened, *closed):
                os.close(descriptor)

    def read_status(self) -> bool:
        """Take in what bubblewrap reported; whether the container's first process has just become known."""
        try:
            data = os.read(self.status, 4096)
        except BlockingIOError:
            return False
        self.finished_reporting = not data
        self._reported += data
        *lines, self._reported = self._reported.split(b"\n")
        known = self.init_pid is not None
        for line in lines:
            report = json.loads(line)
            self.init_pid = report.get("child-pid", self.init_pid)
            self._exit_code = report.get("exit-code", self._exit_code)
        if known or self.init_pid is None:
            return False
        with contextlib.suppress(ProcessLookupError):
            self._init = os.pidfd_open(self.init_pid)
        return True

    def kill(self, child: Child) -> None:
        """Kill everything inside.

        Before the first process is known nothing can be killed safely: bubblewrap, killed in the middle of
        its start, would leave it behind. The caller comes again then.
        """
        del child
        if self._init >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._init, signal.SIGKILL)

    def ready(self) -> bool:
        """Whether the container's file system stands, so that it can be entered."""
        if not self._ready and self.init_pid is not None:
            try:
                self._ready = os.path.samestat(os.stat(f"/proc/{self.init_pid}/root"), os.stat(framing.ROOT))
            except OSError:
                return False
        return self._ready

    def exit_code(self, wait_status: int) -> int | None:
        """Of the command, after the direct child was reaped; None where the command was never executed."""
        del wait_status
        before = None
        while before != self._reported and not self.finished_reporting:
            before = self._reported
            self.read_status()
        return self._exit_code

    def close(self) -> None:
        for descriptor in (self.status, self._init):
            if descriptor >= 0:
                os.close(descriptor)
        self.status = self._init = -1


def _packed(arguments: list[str | list[str]], opened: list[int]) -> bytes:
    """Arguments as bubblewrap reads them from a file. Folders are opened; it is told their descriptors.

    Raises:
        OSError: A folder is not there any more, or a word would be taken for two.
    """
    words: list[bytes] = []
    for argument in arguments:
        if not isinstance(argument, str):
            opened.append(open_beneath(*argument))
            words.append(b"%d" % opened[-1])
            continue
        words.append(os.fsencode(argument))
        if b"\0" in words[-1]:
            raise OSError(errno.EINVAL, "A NUL byte is in a path")
    return b"\0".join(words) + b"\0"


class PlainGroup:
    """No container: a process in a folder of its own, and all its descendants."""

    namespaced = False
    status = -1
    finished_reporting = True

    def __init__(self, order: dict[str, Any]) -> None:
        self.init_pid: int | None = None
        self._order = order
        if hasattr(os, "pidfd_open"):  # Linux: orphans of the tree come back to us, so that none escapes
            ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def spawn(self, child: Child, group: str) -> None:
        order = self._order
        os.chdir(order["workdir"])
        try:
            program = _find(order["argv"][0], order["env"].get("PATH", os.defpath))
            argv = [program, *order["argv"][1:]]
            child.pid = spawn(
                program, argv, order["env"], child.stdio, open_files=order["open_files"], group=group
            )
        finally:
            os.chdir(order["folder"])
        self.init_pid = child.pid

    def read_status(self) -> bool:
        return False

    def kill(self, child: Child) -> None:
        if child.pid:
            kill_descendants(os.getpid(), child.pid)

    def ready(self) -> bool:
        return self.init_pid is not None

    def exit_code(self, wait_status: int) -> int | None:
        return code_of(wait_status)

    def close(self) -> None:
        return


def code_of(wait_status: int) -> int:
    """A wait status as a shell tells it: 128 + N for signal N."""
    if os.WIFSIGNALED(wait_status):
        return 128 + os.WTERMSIG(wait_status)
    return os.WEXITSTATUS(wait_status)


def _find(name: str, search_path: str) -> str:
    if "/" in name:
        return name
    for folder in search_path.split(os.pathsep):
        candidate = os.path.join(folder, name)
        if os.access(candidate, os.X_OK) and os.path.isfile(candidate):
            return candidate
    raise FileNotFoundError(2, os.strerror(2), name)
