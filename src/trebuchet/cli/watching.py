"""`trebuchet status --watch`: a table of jobs that keeps itself up to date."""

from __future__ import annotations

import os
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import click

from trebuchet.cli.background import in_background
from trebuchet.cli.console import is_dumb, printable
from trebuchet.cli.fitting import columns_of, cut
from trebuchet.cli.leaving import Detached
from trebuchet.cli.meters import Meters, Taken
from trebuchet.cli.render import live_table
from trebuchet.errors import ControlPlaneError, NotFoundError
from trebuchet.status import JobState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from trebuchet.launcher import Launcher
    from trebuchet.status import JobStatus

_PAUSE_S = 2.0
_NONE = "No such jobs."
_AT_ONCE = 8
_HOME, _CLEAR_BELOW, _CLEAR_LINE = "\x1b[H", "\x1b[J", "\x1b[K"
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"


def watch_statuses(launcher: Launcher, look: Callable[[], Sequence[JobStatus]]) -> None:
    """Show jobs on the whole terminal until Ctrl-C; then leave what was last seen on the screen.

    Args:
        launcher: Knows their output.
        look: Looks them up.

    Raises:
        Detached: Ctrl-C came.
        UsageError: There is no terminal.
    """
    if not sys.stdout.isatty() or is_dumb():
        raise click.UsageError("--watch draws on a terminal. For programs: trebuchet wait, or status --json.")
    picture = ""
    sys.stdout.write(_ENTER)
    try:
        for picture in in_background(_pictures(launcher, look)):
            _draw(picture)
    except KeyboardInterrupt:
        raise Detached(0) from None  # That is how it ends, and the look that is under way is let go.
    finally:
        sys.stdout.write(_LEAVE)
        sys.stdout.flush()
        click.echo(picture)


def _pictures(launcher: Launcher, look: Callable[[], Sequence[JobStatus]]) -> Iterator[str]:
    meters = Meters(launcher)
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="watch") as pool:
        while True:
            statuses = sorted(look(), key=lambda status: status.done)  # What goes on is what is watched.
            more = list(pool.map(partial(_more, launcher, meters), statuses))
            room = columns_of(sys.stdout)
            table = live_table(statuses, now=time.time(), more=more, room=room) if statuses else _NONE
            yield f"{time.strftime('%H:%M:%S')}   Ctrl-C leaves\n\n{table}"
            time.sleep(_PAUSE_S)


def _more(launcher: Launcher, meters: Meters, status: JobStatus) -> tuple[str, ...]:
    """What a running job takes, and what it said last."""
    if status.state is not JobState.RUNNING:
        return (*Taken(), "")
    return (*meters.read(status), _last_line(launcher, status))


def _last_line(launcher: Launcher, status: JobStatus) -> str:
    """What a running job said last."""
    try:
        text = "".join(entry.message for entry in launcher.logs(status.key, tail=1))
    except (ControlPlaneError, NotFoundError):
        return "?"
    return printable(text.rstrip("\r\n").rpartition("\r")[2])


def _draw(picture: str) -> None:
    # The environment, which goes first elsewhere, may tell a size that the terminal had once.
    size = os.get_terminal_size(sys.stdout.fileno())
    columns, rows = size if all(size) else shutil.get_terminal_size()
    lines = [cut(line, columns) for line in _as_many_as_fit(picture.splitlines(), rows - 1)]
    sys.stdout.write(_HOME + "".join(f"{line}{_CLEAR_LINE}\n" for line in lines) + _CLEAR_BELOW)
    sys.stdout.flush()


def _as_many_as_fit(lines: list[str], room: int) -> list[str]:
    """The first lines, with a word about the rest: a job a line."""
    if len(lines) <= room:
        return lines
    kept = max(room - 1, 0)
    return [*lines[:kept], f"… and {len(lines) - kept} more"]
