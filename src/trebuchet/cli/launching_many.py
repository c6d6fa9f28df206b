"""`up` with several files: all of them are launched at once, and what became of each is told."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from trebuchet.cli.attached import exit_code_for, leaving_on_signals
from trebuchet.cli.console import printable, tell, tell_note
from trebuchet.cli.failures import exit_code_of
from trebuchet.cli.fitting import MovingLine, columns_of
from trebuchet.cli.leaving import INTERRUPTED, Detached
from trebuchet.cli.render import print_statuses, status_table, summary
from trebuchet.cli.travelling import notes_of, travelling
from trebuchet.cli.waiting import wait_for_ends
from trebuchet.errors import TrebuchetError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trebuchet.cli.render import Form
    from trebuchet.cli.travelling import Travelling
    from trebuchet.client import Client
    from trebuchet.job import JobConfig
    from trebuchet.launcher import Launcher
    from trebuchet.plan.model import Plan
    from trebuchet.sandbox import Upload
    from trebuchet.status import JobStatus

_MOST_NAMED = 5


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
    _tell_notes(launcher, jobs, cloud)
    results = _launch(launcher, jobs, cluster, cloud)
    launched = list["JobStatus"]()
    codes = [0]
    for job, result in zip(jobs, results, strict=True):
        if isinstance(result, TrebuchetError):
            codes.append(exit_code_of(result))
            tell(f"{_name(job)}: {result}")
        else:
            launched.append(result)
    if launched and not detach:
        tell(status_table(launched, now=time.time(), room=columns_of(sys.stderr)))
        return max(*codes, *map(exit_code_for, _stay(launcher, launched)))
    print_statuses(launched, form, now=time.time())
    return max(codes)


def _launch(
    launcher: Launcher, jobs: Sequence[JobConfig], cluster: str | None, cloud: str | None
) -> list[JobStatus | TrebuchetError]:
    there = list["JobStatus"]()
    line, done = MovingLine(), list[int]()

    def on_done(place: int, result: JobStatus | TrebuchetError) -> None:
        # From several threads, and a list takes what comes from any.
        done.append(place)
        line.draw(f"launching: {len(done)} of {len(jobs)}")
        if not isinstance(result, TrebuchetError):
            there.append(result)

    with leaving_on_signals() as leave:
        try:
            line.draw(f"launching: 0 of {len(jobs)}")
            return launcher.up_many(jobs, cluster, cloud=cloud, on_done=on_done)
        except KeyboardInterrupt:
            line.clear()
            tell(
                f"aborted: {len(there)} of {len(jobs)} were launched and go on; of the others nothing is left"
            )
            _tell_how_to_come_back(there)
            raise Detached(leave.asked or INTERRUPTED) from None
        finally:
            line.clear()


def _stay(launcher: Launcher, launched: Sequence[JobStatus]) -> list[JobStatus]:
    try:
        return wait_for_ends(launcher, [each.key for each in launched], on_change=_tell_end)
    except Detached:
        _tell_how_to_come_back(launched)
        raise


def _tell_notes(launcher: Launcher, jobs: Sequence[JobConfig], cloud: str | None) -> None:
    """Say what is worth knowing about the plans, each note once with the jobs that it is about."""
    about: dict[str, list[str]] = {}
    planners: dict[str, Callable[[JobConfig], Plan]] = {}
    counted: dict[tuple[Upload, ...], list[Travelling]] = {}  # Many jobs send the same folder.
    for job in jobs:
        with suppress(TrebuchetError):  # Its launch will tell.
            planned = _planner(planners, launcher.client_for(job, cloud))(job)
            uploads = planned.candidates[0].uploads
            if uploads not in counted:
                counted[uploads] = travelling(planned, state=launcher.settings.home)
            for note in notes_of(planned, counted[uploads]):
                about.setdefault(note, []).append(_name(job))
    for note, names in about.items():
        more = len(names) - _MOST_NAMED
        named = ", ".join(dict.fromkeys(names[:_MOST_NAMED])) + (f" and {more} more" if more > 0 else "")
        tell_note(f"{named}: {printable(note)}")


def _planner(planners: dict[str, Callable[[JobConfig], Plan]], client: Client) -> Callable[[JobConfig], Plan]:
    """Of each cloud one: it looks at the machine once."""
    if client.cloud not in planners:
        planners[client.cloud] = client.planner()
    return planners[client.cloud]


def _name(job: JobConfig) -> str:
    return printable(job.name or "job")


def _tell_end(status: JobStatus) -> None:
    if status.done:
        tell(summary(status, now=time.time()))


def _tell_how_to_come_back(launched: Sequence[JobStatus]) -> None:
    if launched:
        keys = " ".join(status.key for status in launched)
        tell(f"  come back: trebuchet wait {keys}")
        tell(f"  how they stand: trebuchet status {keys}")
        tell(f"  cancel them: trebuchet cancel {keys}")
