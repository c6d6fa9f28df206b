"""The two sinks of the command line: data on stdout, everything else on stderr."""

from __future__ import annotations

import os
import sys

import click

from trebuchet.cli.leaving import for_a_reader


def show(text: str) -> None:
    """Write a line of data to stdout."""
    with for_a_reader():
        click.echo(text, color=_colour())


def tell(text: str) -> None:
    """Write a line about what goes on to stderr."""
    click.echo(text, err=True, color=_colour())


def tell_note(text: str) -> None:
    """Write to stderr something the user should know that is no error."""
    tell(click.style("note: ", fg="yellow") + text)


def _colour() -> bool | None:
    """No colour where the user wants none (https://no-color.org); elsewhere as the sink can take it."""
    return False if os.environ.get("NO_COLOR") else None


def wants_colour() -> bool:
    """Whether stdout shows colours and the user wants them."""
    return sys.stdout.isatty() and _colour() is None


def printable(text: str) -> str:
    """Text from elsewhere without what would move the cursor or end the line."""
    return "".join(character if character.isprintable() else "?" for character in text)


def accept_any_text() -> None:
    """Let a job's output be written whatever it holds: what the terminal's encoding lacks becomes `?`."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")
