"""A process that stays with a job: shows its output, and leaves it alone when told to go."""

from __future__ import annotations

import signal
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trebuchet.cli.background import in_background
from trebuchet.cli.console import tell
from trebuchet.cli.leaving import HUNG_UP, INTERRUPTED, TERMINATED, Detached, for_a_reader
from trebuchet.errors import ControlPlaneError, LaunchError
from trebuchet.status import JobState, LogEntry, Reason

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from types import FrameType

    from trebuchet.cli.progress import Progress
    from trebuchet.launcher import Launcher
    from trebuchet.status import JobStatus

TIMED_OUT = 124
CANCELLED = 137

_FIRST_PAUSE_S = 0.02
_LONGEST_PAUSE_S = 1.0


@dataclass(frozen=True)
class Begun:
    """From here on, output is another attempt's.

    Attributes:
        attempt: Its number.
    """

    attempt: int


class Leave:
    """Whether somebody asked this process to go, and what that means at present.

    Until the job is launched all of them abort the launch at once, however long an image is built: nothing
    is left behind. From then on all of them end the watching at once, and the job goes on.

    Attributes:
        asked: The exit code that the request calls for; None before one.
    """

    def __init__(self) -> None:
        self.asked: int | None = None
        self._launched = False
        self._undivided = False

    def launched(self) -> None:
        """From now on a request detaches; so does one that came before and was lost on the way."""
        self._launched = True
        if self.asked is not None:
            raise Detached(self.asked)

    @contextmanager
    def undivided(self) -> Generator[None]:
        """Let a request wait until the block is done; a second one does not, should the block hang."""
        self._undivided = True
        try:
            yield
        finally:
            self._undivided = False
        if self.asked is not None:
            raise Detached(self.asked)

    def ask(self, number: int, _frame: FrameType | None) -> None:
        """Take a signal."""
        is_first, self.asked = self.asked is None, _EXIT_CODES[signal.Signals(number)]
        if self._undivided and is_first:
            return
        if self._launched:
            raise Detached(self.asked)
        raise KeyboardInterrupt


_EXIT_CODES = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: TERMINATED, signal.SIGHUP: HUNG_UP}


@contextmanager
def leaving_on_signals(leave: Leave | None = None) -> Generator[Leave]:
    """Let signals detach rather than kill; one that is ignored (nohup) stays ignored."""
    leave = leave or Leave()
    before = {number: signal.getsignal(number) for number in _EXIT_CODES}
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
    status, last = launched, "\n"
    with progress:
        for seen in in_background(observe(launcher, launched)):
            if isinstance(seen, LogEntry):
                progress.stop()
                write(seen)
                last = seen.message[-1:] or last
            elif isinstance(seen, Begun):
                progress.stop()
                _begin(seen, last)
                last = "\n"
            else:
                status = seen
                if status.state is JobState.PENDING:
                    progress.waiting(status)
    if last != "\n" and sys.stderr.isatty():
        sys.stderr.write("\n")  # What is said next begins a line of its own.
    return status


def _begin(begun: Begun, last: str) -> None:
    """Say whose output comes now, which begins a line of its own; `last` is what was written before it."""
    if last != "\n":
        with for_a_reader():
            sys.stdout.write("\n")
            sys.stdout.flush()
    tell(f"attempt {begun.attempt}:")


def observe(launcher: Launcher, status: JobStatus) -> Iterator[JobStatus | Begun | LogEntry]:
    """What a job does until its end: its status while it waits, then its output, then its last status.

    The output of each attempt is given, also of one that has come and gone between two looks.
    """
    first = shown = status.attempt
    while True:
        for pause in _pauses():
            yield status
            if status.state is not JobState.PENDING or status.attempt > shown:
                break
            time.sleep(pause)
            status = launcher.find(status.key)
        if status.reason is Reason.LAUNCH_FAILED and status.attempt == shown:
            return  # There never was anything that could have printed.
        if shown > first:
            yield Begun(shown)
        yield from launcher.logs(status.key, follow=True, attempt=shown)
        for pause in _pauses():  # The log's end announces the job's end, or its next attempt.
            status = launcher.find(status.key)
            if status.done or status.attempt != shown:
                break
            time.sleep(pause)
        if status.done and status.attempt == shown:
            yield status
            return
        shown += 1


def _pauses() -> Iterator[float]:
    pause = _FIRST_PAUSE_S
    while True:
        yield pause
        pause = min(pause * 1.5, _LONGEST_PAUSE_S)


def write(entry: LogEntry) -> None:
    """Pass a piece of output on as it is: the job's stdout to stdout, all else to stderr."""
    sink = sys.stdout if entry.source == "stdout" else sys.stderr
    with for_a_reader():
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
