"""`up` with several files: all of them are launched at once, and what became of each is told."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from trebuchet.cli.attached import exit_code_for, leaving_on_signals
from trebuchet.cli.console import printable, tell
from trebuchet.cli.failures import exit_code_of
from trebuchet.cli.leaving import INTERRUPTED, Detached
from trebuchet.cli.render import print_statuses, summary
from trebuchet.cli.waiting import wait_for_ends
from trebuchet.errors import TrebuchetError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trebuchet.cli.render import Form
    from trebuchet.job import JobConfig
    from trebuchet.launcher import Launcher
    from trebuchet.status import JobStatus


def launch_many(
    launcher: Launcher,
    jobs: Sequence[JobConfig],
    cluster: str | None,
    *,
    cloud: str | None,
    form: Form | None,
    detach: bool,
) -> int:
    """Launch all, and, unless detached, wait for their ends; the worst exit code."""
    there = list["JobStatus"]()
    with (
        leaving_on_signals() as leave,
        click.progressbar(length=len(jobs), label="launching", file=sys.stderr) as bar,
    ):

        def on_done(_place: int, result: JobStatus | TrebuchetError) -> None:
            # From several threads, and the bar is none that minds: a count is all it keeps.
            bar.update(1)
            if not isinstance(result, TrebuchetError):
                there.append(result)

        try:
            results = launcher.up_many(jobs, cluster, cloud=cloud, on_done=on_done)
        except KeyboardInterrupt:
            told = f"{len(there)} of {len(jobs)} were launched and go on; of the others nothing is left"
            tell(f"\naborted: {told}")
            raise Detached(leave.asked or INTERRUPTED) from None
    launched = list["JobStatus"]()
    codes = [0]
    for job, result in zip(jobs, results, strict=True):
        if isinstance(result, TrebuchetError):
            codes.append(exit_code_of(result))
            tell(f"{printable(job.name or 'job')}: {result}")
        else:
            launched.append(result)
    if launched and not detach:
        ended = wait_for_ends(launcher, [each.key for each in launched], on_change=_tell_end)
        return max(*codes, *map(exit_code_for, ended))
    print_statuses(launched, form, now=time.time())
    return max(codes)


def _tell_end(status: JobStatus) -> None:
    if status.done:
        tell(summary(status, now=time.time()))
