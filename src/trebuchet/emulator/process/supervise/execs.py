"""The execs of one sandbox: further commands that its supervisor runs inside it."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import signal
import time

from trebuchet.emulator.process.supervise.box import code_of
from trebuchet.emulator.process.supervise.child import KILLED, Child, leave_result
from trebuchet.emulator.process.supervise.enter import enter, parse_report

TYPE_CHECKING = False
if TYPE_CHECKING:
    import selectors
    from collections.abc import Iterable
    from typing import Any

    from trebuchet.emulator.process.supervise.notes import Notes

_KEPT_FREE = 16
"""Descriptors that no exec may have: the supervisor itself opens a file now and then."""
_REPORT_SIZE = 1 << 16


class Execs:
    """Those that run now."""

    def __init__(self, order: dict[str, Any], selector: selectors.BaseSelector, notes: Notes) -> None:
        """Run none yet.

        Args:
            order: The sandbox's, of which each exec has its share.
            selector: Tells when there is something to read.
            notes: Takes down how each ended.
        """
        self._order = order
        self._selector = selector
        self._notes = notes
        self._running: dict[int, tuple[Child, int]] = {}

    @property
    def children(self) -> Iterable[Child]:
        """Their processes."""
        return (child for child, _ in self._running.values())

    @property
    def pids(self) -> tuple[int, ...]:
        """Of the direct children that stand for them."""
        return tuple(self._running)

    def start(self, request: dict[str, Any], init_pid: int | None, group: str) -> None:
        """Run a command inside; where there is no room for one more, that alone could not start.

        Args:
            request: What to run.
            init_pid: The sandbox's first process; None where there are no namespaces to join.
            group: The file by which the sandbox's control group is joined; empty for none.
        """
        try:
            child = Child(request["folder"], request, self._selector, self._notes, init_pid=init_pid)
        except OSError as error:
            leave_result(self._notes, request["folder"], None, "start_failed", _no_room(error))
            return
        try:
            _keep_some_free(max(child.stdio))
            child.pid, report = enter(self._order_for(request, group), child.stdio, init_pid)
        except OSError as error:
            child.finish(None, "start_failed", _no_room(error))
            return
        child.release_stdio()
        child.started(None)
        self._running[child.pid] = (child, report)

    def end(self, pid: int, status: int, *, sandbox_ends: bool) -> None:
        """Note how one ended; while its sandbox ends, what only looks like a failure has fallen with it."""
        child, report = self._running.pop(pid)
        child.drain()
        _, complaint = parse_report(os.read(report, _REPORT_SIZE))
        os.close(report)
        if child.cause:
            child.finish(KILLED, child.cause)  # on Modal of one that timed out, too
        elif sandbox_ends and (complaint or code_of(status) == KILLED):
            child.finish(KILLED, "terminated")  # it fell with its sandbox, or there was nothing left to enter
        elif complaint:
            child.finish(None, "start_failed", complaint)
        else:
            child.finish(code_of(status), "exit")

    def end_late(self) -> None:
        """Kill those whose time is over."""
        now = time.monotonic()
        for child, report in self._running.values():
            if child.deadline is not None and now >= child.deadline:
                child.deadline = None
                _kill(child, report, "timeout")

    def terminate(self, folder: str) -> None:
        """Kill the one in this folder, if it runs."""
        for child, report in self._running.values():
            if child.folder == folder:
                _kill(child, report, "terminated")

    def _order_for(self, request: dict[str, Any], group: str) -> dict[str, Any]:
        return {
            "argv": request["argv"],
            "env": {**self._order["env"], **request["env"]},
            "workdir": request["workdir"] or self._order["workdir"],
            "capabilities": self._order["capabilities"],
            "open_files": self._order["open_files"],
            "group": group,
        }


def _keep_some_free(highest: int) -> None:
    """Refuse the last descriptors. A new one has the lowest number that is free: a high one says few are.

    Raises:
        OSError: There are too few left.
    """
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and highest >= most - _KEPT_FREE:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def _no_room(error: OSError) -> str:
    return f"The command cannot be started: {error.strerror}."


def _kill(child: Child, report: int, cause: str) -> None:
    child.cause = child.cause or cause
    pid, _ = parse_report(os.read(report, _REPORT_SIZE))
    if pid > 0:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
