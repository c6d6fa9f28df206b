"""`trebuchet outputs`, `pull`, `cat`, `rm`: what jobs wrote to `/outputs`."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING

import click

from trebuchet.cli.asking import confirmed
from trebuchet.cli.completion import known_jobs
from trebuchet.cli.console import printable, show, tell, tell_note
from trebuchet.cli.fitting import MovingLine
from trebuchet.cli.leaving import INTERRUPTED, Detached, for_a_reader
from trebuchet.cli.render import json_option, print_json
from trebuchet.cli.sizes import size
from trebuchet.cli.verb import Verb, pass_session, session_options
from trebuchet.errors import TrebuchetError, UsageError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from trebuchet.cli.render import Form
    from trebuchet.cli.session import Session
    from trebuchet.client.transfer import PullProgress
    from trebuchet.launcher import Launcher

_BAR = 30
_REDRAWN_AFTER_S = 0.1


@click.command(
    cls=Verb,
    examples=[("outputs k3f9", "as a tree"), ("outputs k3f9 --json | jq -r '.[].path'", "for programs")],
)
@click.argument("what", metavar="JOB|CLUSTER", shell_complete=known_jobs)
@json_option
@session_options
@pass_session
def outputs(session: Session, what: str, form: Form | None) -> None:
    """List what a job wrote to /outputs, while it runs and after.

    The folder is TREBUCHET_OUTPUTS inside the job, and outlives its sandbox.
    """
    found = session.launcher.outputs(what).list()
    if form == "json":
        print_json(
            [
                {"path": one.path, "dir": one.is_dir, "size": one.size, "modified_at": one.modified_at}
                for one in found
            ]
        )
        return
    width = max((len(size(one.size)) for one in found), default=0)
    for one in found:
        indent = "  " * one.path.count("/")
        name = printable(one.path.rpartition("/")[2]) + ("/" if one.is_dir else "")
        show(f"{'' if one.is_dir else size(one.size):>{width}}  {indent}{name}")
    if not found:
        tell("No outputs. A job writes them to /outputs, or lists them in its file under outputs:")


@click.command(
    cls=Verb,
    examples=[
        ("pull k3f9", "all of it, to outputs-<job>"),
        ("pull k3f9 model.joblib", "one file, to this folder"),
        ("pull k3f9 checkpoints /data/run7", "a folder, to another place"),
    ],
)
@click.argument("what", metavar="JOB|CLUSTER", shell_complete=known_jobs)
@click.argument("path", required=False, default="")
@click.argument("dest", required=False, type=click.Path())
@session_options
@pass_session
def pull(session: Session, what: str, path: str, dest: str | None) -> None:
    """Bring a job's outputs here.

    Several files at a time; each gets its name when it is whole and checked. Asked again, it brings
    what is missing. A file goes into a folder under its own name; "new/" makes one.
    """
    pull_outputs(session.launcher, what, path, dest)


def pull_outputs(launcher: Launcher, what: str, path: str, dest: Path | str | None) -> None:
    """Bring outputs here, with a progress bar on a terminal.

    Raises:
        Detached: Ctrl-C ended it; what had come is kept.
        TrebuchetError: Something could not be read.
        OSError: Something could not be written.
    """
    try:
        with Bar() as bar:
            made = launcher.outputs(what).pull(path, dest, on_progress=bar.update, tell=bar.note)
    except KeyboardInterrupt:
        tell("interrupted: what has come is kept, and another pull to the same place goes on from there")
        raise Detached(INTERRUPTED) from None
    tell(f"pulled {bar.summary} to {made}")


@click.command(cls=Verb, examples=[("cat k3f9 metrics.json | jq .accuracy", "")])
@click.argument("what", metavar="JOB|CLUSTER", shell_complete=known_jobs)
@click.argument("path")
@session_options
@pass_session
def cat(session: Session, what: str, path: str) -> None:
    """Print a file among a job's outputs."""
    with for_a_reader():
        session.launcher.outputs(what).read(path, sys.stdout.buffer)
        sys.stdout.buffer.flush()


@click.command(cls=Verb, examples=[("rm k3f9", "asks first"), ("rm -y k3f9 a1b2", "asks nothing")])
@click.argument("what", metavar="JOB...", nargs=-1, required=True, shell_complete=known_jobs)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@session_options
@pass_session
def rm(session: Session, what: tuple[str, ...], *, yes: bool) -> None:
    """Delete the outputs and the archived logs of jobs that have ended.

    The jobs themselves stay known.
    """
    launcher = session.launcher
    jobs = [launcher.job(word) for word in what]
    for job in jobs:
        if not launcher.find(job.key).done:
            raise UsageError(
                f"{printable(job.name)} ({job.key}) has not ended: it would lose what it still writes.",
                hint=f"trebuchet cancel {job.key}",
            )
    for job in jobs:
        held = _size_of_outputs(launcher, job.key)
        question = f"Delete the outputs of {printable(job.name)} ({job.key}), {held}, and its archived logs?"
        if yes or confirmed(question):
            launcher.outputs(job.key).remove()
            tell(f"deleted the outputs and the archived logs of {printable(job.name)} ({job.key})")


def _size_of_outputs(launcher: Launcher, key: str) -> str:
    try:
        return size(sum(one.size for one in launcher.outputs(key).list()))
    except TrebuchetError:  # A job may leave what cannot even be listed; it must go all the same.
        return "of unknown size"


class Bar:
    """A progress bar on a terminal; silent elsewhere."""

    def __init__(self) -> None:
        self._line = MovingLine()
        self._next = 0.0
        self._last: PullProgress | None = None
        self._lock = threading.Lock()

    @property
    def summary(self) -> str:
        """What was brought, in words."""
        if self._last is None:
            return "nothing"
        files = self._last.files[1]
        return f"{files} file{'' if files == 1 else 's'}, {size(self._last.size[1])}"

    def update(self, progress: PullProgress) -> None:
        """Take the next word of how far it got."""
        with self._lock:
            self._last = progress
            if self._line.is_shown and time.monotonic() >= self._next:
                self._next = time.monotonic() + _REDRAWN_AFTER_S
                self._draw(progress)

    def note(self, text: str) -> None:
        """Say something about a file, above the bar."""
        with self._lock:
            self._line.clear()
            tell_note(printable(text))
            self._next = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._line.clear()

    def _draw(self, progress: PullProgress) -> None:
        whole, here = progress.size
        part = min(here / whole, 1.0) if whole else 1.0
        filled = round(part * _BAR)
        self._line.draw(
            f"{part:4.0%} [{'#' * filled}{'.' * (_BAR - filled)}] "
            f"{size(here)} of {size(whole)}, {progress.files[1]} of {progress.files[0]} files"
        )
