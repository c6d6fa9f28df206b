"""`trebuchet orphans`: what runs, and nobody here knows to be needed."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from trebuchet.cli.console import printable, show, tell
from trebuchet.cli.render import form_options, print_json, table
from trebuchet.cli.verb import Verb, pass_session, session_options
from trebuchet.errors import JobNotFoundError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trebuchet.cli.render import Form
    from trebuchet.cli.session import Session
    from trebuchet.lifecycle.orphans import Orphan

_COLUMNS = ("ID", "CLOUD", "KEY", "NAME", "WHY")


@click.command(
    cls=Verb,
    examples=[
        ("orphans", "look, and end nothing"),
        ("orphans --end", "end all of them"),
        ("orphans --end sb-1 sb-2", "end these two"),
    ],
)
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--cloud", metavar="CLOUD", help="Only on this cloud: modal or local.")
@click.option("--end", is_flag=True, help="End them.")
@form_options
@session_options
@pass_session
def orphans(
    session: Session, ids: tuple[str, ...], cloud: str | None, form: Form | None, *, end: bool
) -> None:
    """List sandboxes that run and belong to no job known here, or outlived theirs.

    A job that another machine launched is listed too, until "status --all" has adopted it.
    """
    found = [one for one in session.launcher.orphans(cloud) if not ids or one.id in ids]
    if missing := sorted(set(ids) - {one.id for one in found}):
        raise JobNotFoundError(f"Of the orphans there is no {', '.join(missing)}.")
    if end:
        session.launcher.end_orphans(found)
    _print(found, form)
    if form is None:
        tell(_summary(len(found), ended=end))


def _print(found: Sequence[Orphan], form: Form | None) -> None:
    if form == "json":
        print_json([asdict(one) for one in found])
    elif form == "quiet":
        for one in found:
            show(one.id)
    elif found:
        rows = [(one.id, one.cloud, one.key or "-", printable(one.name or "-"), one.why) for one in found]
        show(table(_COLUMNS, rows))


def _summary(count: int, *, ended: bool) -> str:
    if not count:
        return "No orphans."
    return "Their end was asked for." if ended else "To end them: trebuchet orphans --end"
