"""The steps of `up`: show the plan's notes, launch, and then stay or return."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from trebuchet.cli.attached import Leave, exit_code_for, leaving_on_signals, watch
from trebuchet.cli.console import printable, tell, tell_note
from trebuchet.cli.ended import tell_the_end
from trebuchet.cli.existing import tell_it_exists
from trebuchet.cli.failures import report
from trebuchet.cli.leaving import INTERRUPTED, Detached
from trebuchet.cli.progress import progress_for
from trebuchet.cli.render import print_json, print_statuses, status_record
from trebuchet.cli.travelling import Memory, notes_of, travelling
from trebuchet.errors import ControlPlaneError, TrebuchetError
from trebuchet.lifecycle.sources import require_sources
from trebuchet.status import JobState

if TYPE_CHECKING:
    from pathlib import Path

    from trebuchet.cli.progress import Progress
    from trebuchet.cli.render import Form
    from trebuchet.job import JobConfig
    from trebuchet.launcher import Launcher
    from trebuchet.status import JobStatus
    from trebuchet.uploads import Sent


@dataclass(frozen=True, kw_only=True)
class Request:
    """What `up` was asked for.

    Attributes:
        launcher: Launches it.
        job: As file and command line want it.
        cluster: The label; None for none.
        key: Makes it idempotent; None for a new one.
        wait_for_gpu: Seconds; None for the launcher's own.
        pull_to: Where to bring its outputs when it has ended; None to leave them where they are.
    """

    launcher: Launcher
    job: JobConfig
    cluster: str | None
    key: str | None
    wait_for_gpu: int | None
    pull_to: Path | None = None

    @property
    def title(self) -> str:
        return printable(self.job.name or "job")

    def is_older(self, status: JobStatus, began: float) -> bool:
        """Whether the key had launched this job before `began` (seconds since the epoch)."""
        return self.key is not None and status.submit_time is not None and status.submit_time < began

    def launch(self, progress: Progress) -> JobStatus:
        """Create it, or find the one that the key has made already."""
        planned = self.launcher.plan(self.job)
        require_sources(self.job, planned)
        sent = travelling(planned, state=self.launcher.settings.home)
        for said in notes_of(planned, sent):
            tell_note(printable(said))
        settings = self.launcher.settings
        memory = Memory(settings.home, f"{planned.cloud} {settings.profile} {settings.environment}")
        for one in filter(memory.unchanged, sent):
            told = f"{one.amount}, unchanged since the last launch; only what is missing there is sent"
            tell(printable(f"{one.upload.source}: {told}"))
        transfer = _Transfer(progress)
        _, status = self.launcher.up(
            self.job,
            self.cluster,
            key=self.key,
            wait_for_gpu=self.wait_for_gpu,
            on_build_output=progress.build_output,
            on_waiting=progress.waiting,
            on_sending=transfer.heard,
        )
        transfer.tell_if_nothing_was_sent()
        if self.key is None:  # With one, an earlier launch may have come back, and nothing was sent.
            for one in sent:
                memory.keep(one)
        return status


@dataclass(frozen=True, kw_only=True)
class Retry(Request):
    """The launch of a finished job once more.

    Attributes:
        of: Its key.
    """

    of: str

    def launch(self, progress: Progress) -> JobStatus:
        """Create it as it was written down."""
        values = {**self.job.envs, **self.job.secrets}
        transfer = _Transfer(progress)
        _, status = self.launcher.retry(
            self.of,
            {name: value for name, value in values.items() if value is not None},
            wait_for_gpu=self.wait_for_gpu,
            on_build_output=progress.build_output,
            on_waiting=progress.waiting,
            on_sending=transfer.heard,
        )
        transfer.tell_if_nothing_was_sent()
        return status


class _Transfer:
    """Passes on how far sending files has got, and knows how it went in the end."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._last: Sent | None = None

    def heard(self, sent: Sent) -> None:
        self._last = sent
        self._progress.sending(sent)

    def tell_if_nothing_was_sent(self) -> None:
        if self._last and self._last.files and not self._last.bytes:
            count = self._last.files
            tell(f"nothing had to be sent: all {count:,} files were there already")


def launch_and_return(request: Request, form: Form | None) -> int:
    """Launch, and print what was launched; the exit code."""
    began = time.time()
    with leaving_on_signals() as leave:
        try:
            with progress_for(request.title) as progress:
                status = request.launch(progress)
        except KeyboardInterrupt:
            _abort(request, leave)
    if request.is_older(status, began):
        tell_it_exists(request.launcher, status, request.job)
    if form == "json":
        print_json(status_record(status))
    else:
        print_statuses([status], form, now=time.time())
    if form is None:
        _tell_how_to_come_back(status)
    return 0


def launch_and_stay(request: Request) -> int:
    """Launch, show the output, and end with a line about how it went; the exit code."""
    launched: JobStatus | None = None
    leave = Leave()
    began = time.time()
    try:
        with leaving_on_signals(leave):
            progress = progress_for(request.title)
            with progress:
                launched = request.launch(progress)
            if request.is_older(launched, began):
                tell_it_exists(request.launcher, launched, request.job)
            else:
                tell(f"launched {request.title} as {launched.key} ({launched.id})")
            leave.launched()
            ended = watch(request.launcher, launched, progress)
    except (Detached, KeyboardInterrupt, ControlPlaneError) as going:
        if launched is None and isinstance(going, KeyboardInterrupt):
            _abort(request, leave)
        if launched is not None:
            tell(f"detached: {request.title} goes on")
            _tell_how_to_come_back(launched)
        raise
    try:
        tell_the_end(request.launcher, ended, pull_to=request.pull_to)
    except (TrebuchetError, OSError) as error:  # of the outputs
        if ended.state is JobState.SUCCEEDED:
            raise
        report(error, debug=False)  # The exit code tells of the job.
    return exit_code_for(ended)


def _abort(request: Request, leave: Leave) -> NoReturn:
    tell(f"aborted: {request.title} was not launched, and nothing is left behind")
    raise Detached(leave.asked or INTERRUPTED) from None


def _tell_how_to_come_back(status: JobStatus) -> None:
    if status.done:
        tell(f"  its output again: trebuchet logs {status.key}")
        return
    tell(f"  come back: trebuchet logs -f {status.key}")
    tell(f"  cancel it: trebuchet cancel {status.key}")
