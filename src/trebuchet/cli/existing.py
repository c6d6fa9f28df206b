"""What is said where a key has launched a job before, and so launches nothing now."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from trebuchet.cli.console import printable, tell, tell_note
from trebuchet.cli.render import ago
from trebuchet.launcher.sameness import differences

if TYPE_CHECKING:
    from trebuchet.job import JobConfig
    from trebuchet.launcher import Launcher
    from trebuchet.status import JobStatus


def tell_it_exists(launcher: Launcher, status: JobStatus, job: JobConfig) -> None:
    """Say which job the key stands for, how that one is, and whether the file has changed since.

    Args:
        launcher: Knows the job.
        status: The job that came back.
        job: What was to be launched.
    """
    known = launcher.find(status.key, cached=True)
    now = time.time()
    since = ago(known.end_at, now) if known.done else f"launched {ago(known.submit_time, now)}"
    how = f"{printable(known.name)}, {known.state.value} {since}"
    tell(f"{status.key} exists already ({how}); nothing was launched")
    if changed := differences(launcher.contexts.ledger, status.key, job):
        tell_note(f"what was asked for is not what {status.key} launched: {', '.join(changed)} differ")
