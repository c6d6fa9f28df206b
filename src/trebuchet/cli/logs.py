"""`trebuchet logs`: what jobs printed, or print."""

from __future__ import annotations

import re
from contextlib import nullcontext, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trebuchet.cli.attached import leaving_on_signals
from trebuchet.cli.background import in_background
from trebuchet.cli.completion import known_jobs
from trebuchet.cli.console import tell, tell_note
from trebuchet.cli.jobfile import length_of_time
from trebuchet.cli.log_sinks import FileSink, JsonSink, LineSink, Sink, prefixes
from trebuchet.cli.numbers import WholeNumber
from trebuchet.cli.progress import what_it_waits_for
from trebuchet.cli.verb import Verb, pass_session, session_options
from trebuchet.errors import TrebuchetError
from trebuchet.status import JobState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from trebuchet.cli.session import Session
    from trebuchet.client.log_reading import LogReading
    from trebuchet.launcher import Launcher
    from trebuchet.logs.pieces import Piece
    from trebuchet.status import JobStatus, LogSource

FROM_THE_BEGINNING = "start"


def moment(text: str) -> datetime:
    """A point in time on the command line: an ISO 8601 time, or how long ago it was.

    Raises:
        BadParameter: It is neither.
    """
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        pass
    try:
        return datetime.now(UTC) - timedelta(seconds=length_of_time(text))
    except click.BadParameter as error:
        raise click.BadParameter(f"{error.message} Nor is it an ISO 8601 time.") from error


def pattern(text: str) -> re.Pattern[str]:
    """A regular expression on the command line.

    Raises:
        BadParameter: It is none.
    """
    try:
        return re.compile(text)
    except re.error as error:
        raise click.BadParameter(f"{text!r} is no regular expression: {error}.") from error


@click.command(
    cls=Verb,
    examples=[
        ("logs k3f9", "all it has printed so far"),
        ("logs -f nightly", "follow the newest job of a cluster to its end"),
        ("logs k3f9 --tail 20 -f", "its last lines, and what comes"),
        ("logs k3f9 --since 10m --source stderr --grep Error", ""),
        ("logs -f a1b2 c3d4", "two jobs at once"),
        ("logs k3f9 --cursor start", "and again later with the word it ends with"),
    ],
)
@click.argument("what", metavar="JOB|CLUSTER...", nargs=-1, required=True, shell_complete=known_jobs)
@click.option("-f", "--follow", is_flag=True, help="Go on until it has ended.")
@click.option("--tail", type=WholeNumber(min=0), metavar="N", help="Only the last N lines so far.")
@click.option(
    "--since", type=moment, metavar="TIME", help="Only what came after 10m ago, or an ISO 8601 time."
)
@click.option("--source", type=click.Choice(["stdout", "stderr", "system"]), help="Only this stream.")
@click.option("--attempt", type=WholeNumber(min=1), metavar="N", help="Of this attempt; else of all.")
@click.option("--grep", type=pattern, metavar="REGEX", help="Only lines in which this is found.")
@click.option("-t", "--timestamps", is_flag=True, help="Begin each line with its time.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write to a file instead, all streams together.",
)
@click.option("--json", "as_json", is_flag=True, help="Print an object a line for each piece of output.")
@click.option(
    "--cursor",
    metavar="CURSOR",
    help='Go on where an earlier run ended, and end with the next cursor; "start" begins.',
)
@session_options
@pass_session
def logs(
    session: Session, *, what: tuple[str, ...], tail: int | None, since: datetime | None,
    source: LogSource | None, attempt: int | None, follow: bool, grep: re.Pattern[str] | None,
    timestamps: bool, output: Path | None, as_json: bool, cursor: str | None,
) -> None:  # fmt: skip
    """Show what jobs printed, whether they run or have ended.

    Their stdout goes to stdout, all else to stderr. For a cluster: its newest job. Several jobs are
    told apart by a prefix. A log that was followed to its end is archived, and read from there.
    """
    if output is not None and as_json:
        raise click.UsageError("--json prints; --output writes to a file: choose one.")
    launcher = session.launcher
    keys = list(dict.fromkeys(launcher.job(word).key for word in what))
    if follow:
        _tell_of_waiting(launcher, [launcher.find(key, cached=True) for key in keys])
    _tell_of_deleted(launcher, keys)
    reading = launcher.logs_of(
        keys, follow=follow, tail=tail, since=since, source=source, attempt=attempt, grep=grep,
        whole_lines=len(keys) > 1,
        cursor=None if cursor == FROM_THE_BEGINNING else cursor,
        tell=tell_note,
    )  # fmt: skip
    shown = cursor
    try:
        with (
            leaving_on_signals() as leave,
            _sink(keys, timestamps=timestamps, output=output, as_json=as_json) as sink,
        ):
            leave.launched()
            for piece, position in in_background(_with_cursors(reading)):
                with leave.undivided() if cursor is not None else nullcontext():
                    sink.take(piece, position)
                    shown = position
    finally:
        if cursor is not None:  # However it ends: what was read ahead and not shown comes again.
            tell(f"cursor: {shown}")


def _tell_of_waiting(launcher: Launcher, jobs: Iterable[JobStatus]) -> None:
    """Say of those that do not run yet why nothing comes; as good a guess as there is, without a network."""
    for job in jobs:
        if job.state is JobState.PENDING:
            with suppress(TrebuchetError):
                job = launcher.find(job.key)  # noqa: PLW2901 - the same job, looked up
        if job.state is JobState.PENDING:
            tell(f"{job.name}: {what_it_waits_for(job)}")


def _tell_of_deleted(launcher: Launcher, keys: Iterable[str]) -> None:
    """Say of which jobs somebody deleted the archived log: only what a control plane still has is shown."""
    from trebuchet.client.outputs import REMOVED  # noqa: PLC0415 - with what a log needs anyway

    for key in keys:
        if any(event.kind == REMOVED for event in launcher.events(key)):
            tell_note(f"the archived log of {key} was deleted; the control plane may have some of it still")


def _with_cursors(reading: LogReading) -> Iterator[tuple[Piece, str]]:
    for piece in reading.pieces():
        yield piece, reading.cursor


def _sink(keys: list[str], *, timestamps: bool, output: Path | None, as_json: bool) -> Sink:
    labels = prefixes(keys, coloured=output is None)
    if output is not None:
        return FileSink(output, labels, timestamps=timestamps)
    if as_json:
        return JsonSink()
    return LineSink(labels, timestamps=timestamps)
