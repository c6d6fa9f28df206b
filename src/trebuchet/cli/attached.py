"""A process that stays with a job: shows its output, and leaves it alone when told to go."""

from __future__ import annotations

import signal
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from trebuchet.cli.failures import HUNG_UP, TERMINATED, Detached
from trebuchet.errors import ControlPlaneError, LaunchError
from trebuchet.status import JobState, Reason

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from types import FrameType

    from trebuchet.cli.progress import Progress
    from trebuchet.launcher import Launcher
    from trebuchet.status import JobStatus, LogEntry

TIMED_OUT = 124
CANCELLED = 137

_FIRST_PAUSE_S = 0.02
_LONGEST_PAUSE_S = 1.0


class Leave:
    """Whether somebody asked this process to go, and whether it may.

    Attributes:
        asked: The exit code that the request calls for; None before one.
    """

    def __init__(self) -> None:
        self.asked: int | None = None
        self._at_once = False

    def now_if_asked(self) -> None:
        """Go, if somebody asked; for places where nothing is left half done."""
        if self.asked is not None:
            raise Detached(self.asked)

    def at_once_from_here(self) -> None:
        """From now on a request ends whatever goes on."""
        self._at_once = True
        self.now_if_asked()

    def ask(self, number: int, _frame: FrameType | None) -> None:
        """Take a signal."""
        self.asked = HUNG_UP if number == signal.SIGHUP else TERMINATED
        if self._at_once:
            raise Detached(self.asked)


@contextmanager
def leaving_on_signals() -> Generator[Leave]:
    """Let SIGTERM and SIGHUP detach rather than kill; one that is ignored (nohup) stays ignored."""
    leave = Leave()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    taken = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    for number in taken:
        signal.signal(number, leave.ask)
    try:
        yield leave
    finally:
        for number in taken:
            signal.signal(number, before[number])


def watch(launcher: Launcher, launched: JobStatus, progress: Progress) -> JobStatus:
    """Show a job's output until it has ended, through all its attempts; its last status.

    Raises:
        ClusterUnreachableError: The connection broke and stayed away; the job goes on, unseen.
    """
    status = launched
    while True:
        with progress:
            status = _once_begun(launcher, status, progress)
        if status.reason is Reason.LAUNCH_FAILED:
            return status  # There never was anything that could have printed.
        for entry in launcher.logs(status.key, follow=True):
            write(entry)
        seen, status = status.attempt, _after_the_log(launcher, status)
        if status.done and status.attempt == seen:
            return status


def _once_begun(launcher: Launcher, status: JobStatus, progress: Progress) -> JobStatus:
    for pause in _pauses():
        if status.state is not JobState.PENDING:
            break
        progress.waiting(status)
        time.sleep(pause)
        status = launcher.find(status.key)
    return status


def _after_the_log(launcher: Launcher, status: JobStatus) -> JobStatus:
    """Wait for what the log's end announces: the job's end, or its next attempt."""
    attempt = status.attempt
    for pause in _pauses():
        status = launcher.find(status.key)
        if status.done or status.attempt != attempt:
            break
        time.sleep(pause)
    return status


def _pauses() -> Iterator[float]:
    pause = _FIRST_PAUSE_S
    while True:
        yield pause
        pause = min(pause * 1.5, _LONGEST_PAUSE_S)


def write(entry: LogEntry) -> None:
    """Pass a piece of output on as it is: the job's stdout to stdout, all else to stderr."""
    sink = sys.stdout if entry.source == "stdout" else sys.stderr
    sink.write(entry.message)
    sink.flush()


def exit_code_for(status: JobStatus) -> int:
    """The exit code of a command that stayed with a job until its end."""
    if status.reason is Reason.TIMEOUT:
        return TIMED_OUT
    if status.state is JobState.CANCELLED:
        return CANCELLED
    if status.reason is Reason.LAUNCH_FAILED:
        return LaunchError.exit_code
    if status.exit_code is not None:
        return status.exit_code
    return 0 if status.state is JobState.SUCCEEDED else ControlPlaneError.exit_code
