"""`trebuchet prune`: forget old jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from trebuchet.cli.console import tell
from trebuchet.cli.jobfile import length_of_time
from trebuchet.cli.verb import Verb, pass_session, session_options

if TYPE_CHECKING:
    from trebuchet.cli.session import Session


@click.command(cls=Verb, examples=[("prune", "older than 30 days"), ("prune --older-than 24h", "than a day")])
@click.option(
    "--older-than",
    type=length_of_time,
    default="720h",
    show_default=True,
    metavar="TIME",
    help="Keep what ended within this time.",
)
@session_options
@pass_session
def prune(session: Session, older_than: int) -> None:
    """Forget jobs that ended long ago, and their logs. What runs stays."""
    count = session.launcher.prune(older_than_s=older_than)
    tell(f"{count} job{'' if count == 1 else 's'} forgotten")
