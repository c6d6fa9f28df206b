"""What a person is told when a job that was watched has ended."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from trebuchet.cli.console import printable, tell
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
    """
    if status.state is JobState.FAILED and status.reason is not Reason.LAUNCH_FAILED:
        _tell_last_lines(launcher, status.key)
    if pull_to is not None:
        pull_outputs(launcher, status.key, "", pull_to)
    tell(summary(status, now=time.time()))
    facts = metadata_of(status)
    for told in (facts.get("message"), facts.get("hint")):
        if told:
            tell(f"  {printable(str(told))}")
    if facts.get("dashboard"):
        tell(f"  on Modal: {facts['dashboard']}")
    if status.exit_code != 0:
        tell(f"  its output again: trebuchet logs {status.key}")
    if pull_to is None and status.reason is not Reason.LAUNCH_FAILED and _has_outputs(launcher, status.key):
        tell(f"  bring its outputs here: trebuchet pull {status.key}")


def _tell_last_lines(launcher: Launcher, key: str) -> None:
    try:
        text = "".join(entry.message for entry in launcher.logs(key, tail=_LAST_LINES))
    except (ControlPlaneError, NotFoundError):
        return  # They were shown already, and how it ended is told all the same.
    lines = text.splitlines()[-_LAST_LINES:]
    if lines:
        tell("  its last lines:")
    for line in lines:
        # Of a progress bar, what it showed last.
        tell(f"  | {printable(line.rpartition(chr(13))[2])[:_WIDEST]}")


def _has_outputs(launcher: Launcher, key: str) -> bool:
    try:
        return bool(launcher.outputs(key).list())
    except (ControlPlaneError, NotFoundError):
        return False
