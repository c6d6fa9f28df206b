"""`trebuchet logs`: what a job printed, or prints."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from trebuchet.cli.attached import write
from trebuchet.cli.background import in_background
from trebuchet.cli.completion import known_jobs
from trebuchet.cli.console import show
from trebuchet.cli.jobfile import length_of_time
from trebuchet.cli.verb import Verb, pass_session, session_options
from trebuchet.status import LogEntry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from trebuchet.cli.session import Session
    from trebuchet.status import LogSource


def moment(text: str) -> datetime:
    """A point in time on the command line: an ISO 8601 time, or how long ago it was.

    Raises:
        BadParameter: It is neither.
    """
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        return datetime.now(UTC) - timedelta(seconds=length_of_time(text))


@click.command(
    cls=Verb,
    examples=[
        ("logs k3f9", "all it has printed so far"),
        ("logs -f nightly", "follow the newest job of a cluster to its end"),
        ("logs k3f9 --tail 20", "its last lines"),
        ("logs k3f9 --since 10m --source stderr", ""),
    ],
)
@click.argument("what", metavar="JOB|CLUSTER", shell_complete=known_jobs)
@click.option("-f", "--follow", is_flag=True, help="Go on until it has ended.")
@click.option("--tail", type=click.IntRange(min=0), metavar="N", help="Only the last N lines so far.")
@click.option(
    "--since", type=moment, metavar="TIME", help="Only what came after 10m ago, or an ISO 8601 time."
)
@click.option("--source", type=click.Choice(["stdout", "stderr", "system"]), help="Only this stream.")
@click.option(
    "--attempt", type=click.IntRange(min=1), metavar="N", help="Of this attempt; else of the newest."
)
@click.option("--json", "as_json", is_flag=True, help="Print an object a line for each piece of output.")
@session_options
@pass_session
def logs(
    session: Session, *, what: str, tail: int | None, since: datetime | None, source: LogSource | None,
    attempt: int | None, follow: bool, as_json: bool,
) -> None:  # fmt: skip
    """Show a job's output, whether it runs or has ended.

    Its stdout goes to stdout, all else to stderr. For a cluster: its newest job.
    """
    if follow and tail is not None:
        raise click.UsageError(
            "--tail shows the end of what there is, --follow shows what comes: choose one."
        )
    entries = session.launcher.logs(what, follow=follow, since=since, source=source, attempt=attempt)
    if tail is not None:
        entries = last_lines(entries, tail)
    for entry in in_background(entries):
        if as_json:
            show(json.dumps(_record(entry), ensure_ascii=False))
        else:
            write(entry)


def last_lines(entries: Iterable[LogEntry], count: int) -> Iterator[LogEntry]:
    """The pieces of output that make up the last lines, the first of them cut to fit.

    A piece may end anywhere, so lines are counted by their ends; one that stands open at the end counts too.
    """
    kept = deque[LogEntry]()
    ends = 0
    for entry in entries:
        if not entry.message:
            continue
        kept.append(entry)
        ends += entry.message.count("\n")
        while kept and ends - (first := kept[0].message.count("\n")) > count:
            kept.popleft()
            ends -= first
    surplus = ends - count + (0 if not kept or kept[-1].message.endswith("\n") else 1)
    yield from _without_lines(kept, surplus)


def _without_lines(entries: Iterable[LogEntry], surplus: int) -> Iterator[LogEntry]:
    for entry in entries:
        message = entry.message
        while surplus > 0 and "\n" in message:
            message = message.partition("\n")[2]
            surplus -= 1
        if surplus <= 0 and message:
            yield replace(entry, message=message)


def _record(entry: LogEntry) -> dict[str, Any]:
    return {"timestamp": entry.timestamp.isoformat(), "source": entry.source, "message": entry.message}
