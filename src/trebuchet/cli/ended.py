"""What a person is told when a job that was watched has ended."""

from __future__ import annotations

import shlex
import time
from typing import TYPE_CHECKING

from trebuchet.cli.console import printable, tell, tell_note
from trebuchet.cli.outputs import pull_outputs
from trebuchet.cli.render import metadata_of, summary
from trebuchet.errors import ControlPlaneError, NotFoundError
from trebuchet.status import JobState, Reason

if TYPE_CHECKING:
    from pathlib import Path

    from trebuchet.launcher import Launcher
    from trebuchet.status import JobStatus

_LAST_LINES = 10
_WIDEST = 200


def tell_the_end(launcher: Launcher, status: JobStatus, *, pull_to: Path | None = None) -> None:
    """State, reason, exit code, duration; the last lines where it failed; the next command to type.

    Args:
        launcher: Knows the job.
        status: Its last.
        pull_to: Where to bring its outputs; None to leave them where they are.

    Raises:
        TrebuchetError: Its outputs could not be read. All else has been told, as in the other cases.
        OSError: They could not be written.
        Detached: Ctrl-C came while they were brought.
    """
    if status.state is JobState.FAILED and status.reason is not Reason.LAUNCH_FAILED:
        _tell_last_lines(launcher, status.key)
    left = _left_outputs(launcher, status)
    again = ""
    if left and pull_to is None:
        again = f"trebuchet pull {status.key}"
    elif left is not False and pull_to is not None:
        again = f"trebuchet pull {status.key} '' {shlex.quote(str(pull_to))}"
    try:
        if pull_to is not None and left is not False:
            pull_outputs(launcher, status.key, "", pull_to)
            again = ""
    finally:
        _tell_how_it_ended(status, again)
    if pull_to is not None and left is False:
        tell_note("it has no outputs; a job writes them to /outputs")


def _tell_how_it_ended(status: JobStatus, pull: str) -> None:
    tell(summary(status, now=time.time()))
    facts = metadata_of(status)
    for told in (facts.get("message"), facts.get("hint")):
        if told:
            tell(f"  {printable(str(told))}")
    if facts.get("dashboard"):
        tell(f"  on Modal: {facts['dashboard']}")
    if status.reason is Reason.LAUNCH_FAILED:
        tell(f"  what happened: trebuchet events {status.key}")
    elif status.exit_code != 0 or not pull:
        tell(f"  its output again: trebuchet logs {status.key}")
    if pull:
        tell(f"  bring its outputs here: {pull}")


def _tell_last_lines(launcher: Launcher, key: str) -> None:
    try:
        reading = launcher.logs_of([key], tail=_LAST_LINES, whole_lines=True)
        text = "".join(piece.entry.message for piece in reading.pieces())
    except (ControlPlaneError, NotFoundError):
        return  # They were shown already, and how it ended is told all the same.
    if not text:
        return
    tell("  its last lines:")
    for line in text.removesuffix("\n").split("\n")[-_LAST_LINES:]:
        shown = line.rstrip("\r").rpartition("\r")[2]  # Of a progress bar, what it showed last.
        tell(f"  | {printable(shown)[:_WIDEST]}")


def _left_outputs(launcher: Launcher, status: JobStatus) -> bool | None:
    """Whether it has outputs; None where that cannot be told just now."""
    if status.reason is Reason.LAUNCH_FAILED:
        return False
    try:
        return bool(launcher.outputs(status.key).list())
    except (ControlPlaneError, NotFoundError):
        return None
