"""Waiting for jobs' ends, which a signal breaks off at once: it ends the waiting, not the jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trebuchet.cli.attached import leaving_on_signals
from trebuchet.cli.background import in_background
from trebuchet.cli.console import tell
from trebuchet.cli.leaving import Detached

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from trebuchet.launcher import Launcher
    from trebuchet.status import JobStatus


def wait_for_ends(
    launcher: Launcher,
    refs: Sequence[str],
    *,
    any_one: bool = False,
    timeout: float | None = None,
    on_change: Callable[[JobStatus], None],
) -> list[JobStatus]:
    """As `Launcher.wait`.

    Raises:
        Detached: A signal came; the jobs go on.
    """

    def waiting() -> Iterator[list[JobStatus]]:
        yield launcher.wait(refs, any_one=any_one, timeout=timeout, on_change=on_change)

    try:
        with leaving_on_signals() as leave:
            leave.launched()
            (statuses,) = in_background(waiting())
    except Detached:
        tell("no longer waiting; the jobs go on")
        raise
    return statuses
