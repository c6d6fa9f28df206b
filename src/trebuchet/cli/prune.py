"""`trebuchet prune`: forget old jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from trebuchet.cli.ages import age
from trebuchet.cli.asking import require_confirmation
from trebuchet.cli.console import tell
from trebuchet.cli.verb import Verb, pass_session, session_options

if TYPE_CHECKING:
    from trebuchet.cli.session import Session


@click.command(
    cls=Verb,
    examples=[
        ("prune", "older than 30 days"),
        ("prune --older-than 24h --outputs", "than a day, with all they left"),
    ],
)
@click.option(
    "--older-than",
    type=age,
    default="720h",
    show_default=True,
    metavar="TIME",
    help="Keep what ended within this time: 24h, 30d, 1w.",
)
@click.option("--outputs", is_flag=True, help="Also jobs with outputs, and delete these; asks first.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@session_options
@pass_session
def prune(session: Session, older_than: float, *, outputs: bool, yes: bool) -> None:
    """Forget jobs that ended long ago, and their logs.

    What runs stays, and so does what still has outputs.
    """
    if outputs and not yes:
        require_confirmation("Delete the outputs of all jobs that ended before that?")
    done = session.launcher.prune(older_than_s=older_than, outputs=outputs)
    tell(f"{_jobs(done.forgotten)} forgotten")
    if done.kept and not outputs:
        tell(f"{_jobs(done.kept)} kept: their outputs are still there (--outputs deletes them)")
    elif done.kept:
        tell(f"{_jobs(done.kept)} kept: their outputs could not be deleted")


def _jobs(count: int) -> str:
    return f"{count} job{'' if count == 1 else 's'}"
