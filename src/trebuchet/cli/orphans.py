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

_COLUMNS = ("ID", "CLOUD", "KEY", "NAME", "OWNER", "WHY")


@click.command(
    cls=Verb,
    examples=[
        ("orphans", "look, and end nothing"),
        ("orphans --end", "end those that their owners are known to need no more"),
        ("orphans --end sb-1 k3f9", "end these, whosever they are"),
        ("orphans --end --all-owners", "end every one, other machines' running jobs included"),
    ],
)
@click.argument("which", metavar="[ID|KEY]...", nargs=-1)
@click.option("--cloud", metavar="CLOUD", help="Only on this cloud: modal or local.")
@click.option("--end", is_flag=True, help="End those whose owners need them no more, or those named.")
@click.option("--all-owners", is_flag=True, help="With --end: also those that another machine may need.")
@form_options
@session_options
@pass_session
@click.pass_context
def orphans(
    ctx: click.Context,
    session: Session,
    which: tuple[str, ...],
    cloud: str | None,
    form: Form | None,
    *,
    end: bool,
    all_owners: bool,
) -> None:
    """List sandboxes that run and belong to no job known here, or outlived theirs.

    A job that another machine launched is listed too, until "status --all" has adopted it. OWNER is the
    machine that asked for a sandbox. "--end" alone ends nothing that another machine may still need: only
    what outlived its job, or is there more than an hour after its owner expected its end.
    """
    if all_owners and (which or not end):
        raise click.UsageError("--all-owners goes with --end, and without names.", ctx)
    found = _named(session.launcher.orphans(cloud), which)
    doomed = [one for one in found if which or all_owners or one.abandoned] if end else []
    session.launcher.end_orphans(doomed)
    _print(doomed if end else found, form)
    if form is None:
        tell(_summary(found, doomed, end=end))


def _named(found: Sequence[Orphan], which: Sequence[str]) -> list[Orphan]:
    """Those of these ids and keys; all where none is given."""
    if missing := sorted(set(which) - {name for one in found for name in (one.id, one.key)}):
        raise JobNotFoundError(f"Of the orphans there is no {', '.join(missing)}.")
    return [one for one in found if not which or {one.id, one.key} & set(which)]


def _print(found: Sequence[Orphan], form: Form | None) -> None:
    if form == "json":
        print_json([asdict(one) for one in found])
    elif form == "quiet":
        for one in found:
            show(one.id)
    elif found:
        rows = [
            (one.id, one.cloud, *(printable(text or "-") for text in (one.key, one.name, one.owner)), one.why)
            for one in found
        ]
        show(table(_COLUMNS, rows))


def _summary(found: Sequence[Orphan], doomed: Sequence[Orphan], *, end: bool) -> str:
    if not found:
        return "No orphans."
    left = len(found) - len(doomed)
    if not end:
        return "To end what no owner needs: trebuchet orphans --end. To end others, name them."
    if not left:
        return "Their end was asked for."
    said = "The end of these was asked for." if doomed else "Nothing was ended."
    return f"{said} {left} may be another machine's: name them, or add --all-owners."
