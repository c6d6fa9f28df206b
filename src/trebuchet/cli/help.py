"""`trebuchet help`: what `--help` shows, under the name by which people look for it."""

from __future__ import annotations

import click

from trebuchet.cli.console import show
from trebuchet.cli.verb import Verb, session_options


@click.command(
    cls=Verb, name="help", examples=[("help", "all commands"), ("help up", 'the same as "up --help"')]
)
@click.argument("words", metavar="[COMMAND...]", nargs=-1)
@session_options
@click.pass_context
def help_of(ctx: click.Context, words: tuple[str, ...]) -> None:
    """Show what a command does, and its options."""
    shown = ctx.find_root()
    for word in words:
        group = shown.command
        found = group.get_command(shown, word) if isinstance(group, click.Group) else None
        if found is None:
            raise click.UsageError(f"There is no command {' '.join(words)!r}.", ctx.find_root())
        shown = click.Context(found, info_name=word, parent=shown)
    show(shown.get_help())
