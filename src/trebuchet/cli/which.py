"""`trebuchet which`: the clouds there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from trebuchet.cli.console import show
from trebuchet.cli.render import json_option, print_json
from trebuchet.cli.verb import Verb, pass_session, session_options

if TYPE_CHECKING:
    from trebuchet.cli.render import Form
    from trebuchet.cli.session import Session


@click.command(cls=Verb, examples=[("which", "one cloud a line")])
@json_option
@session_options
@pass_session
def which(session: Session, form: Form | None) -> None:
    """List the clouds that jobs can run on."""
    clouds = session.launcher.which_clouds()
    if form == "json":
        print_json(clouds)
    else:
        for cloud in clouds:
            show(cloud)
