"""`trebuchet events`: what happened to a job."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from trebuchet.cli.completion import known_jobs
from trebuchet.cli.console import printable, show
from trebuchet.cli.render import json_option, print_json, table
from trebuchet.cli.verb import Verb, pass_session, session_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trebuchet.cli.render import Form
    from trebuchet.cli.session import Session
    from trebuchet.ledger import Event


_MOMENTS = frozenset({"not_before"})
"""Details that are seconds since the epoch."""


@click.command(cls=Verb, examples=[("events k3f9", "")])
@click.argument("job", shell_complete=known_jobs)
@json_option
@session_options
@pass_session
def events(session: Session, job: str, form: Form | None) -> None:
    """Show what happened to a job, oldest first."""
    happened = session.launcher.events(job)
    if form == "json":
        print_json([_record(event) for event in happened])
    else:
        show_events(happened)


def show_events(happened: Sequence[Event]) -> None:
    """Print events as a table for people."""
    show(table(("TIME", "EVENT", "DETAIL"), [_row(event) for event in happened]))


def _record(event: Event) -> dict[str, Any]:
    return {"at": _moment(event).isoformat(), "kind": event.kind, "detail": dict(event.detail)}


def _row(event: Event) -> tuple[str, ...]:
    detail = " ".join(
        f"{name}={_told(name, value)}" for name, value in event.detail.items() if value is not None
    )
    return (_moment(event).astimezone().strftime("%Y-%m-%d %H:%M:%S"), event.kind, printable(detail))


def _told(name: str, value: Any) -> str:
    """A detail for people: a moment as a time."""
    if name in _MOMENTS and isinstance(value, (int, float)):
        return datetime.fromtimestamp(value).astimezone().isoformat(sep="T", timespec="seconds")
    return str(value)


def _moment(event: Event) -> datetime:
    return datetime.fromtimestamp(event.at, UTC)
