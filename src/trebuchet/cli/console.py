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


def is_dumb() -> bool:
    """Whether the terminal says that it knows neither colours nor how to move its cursor."""
    return os.environ.get("TERM") == "dumb"


def _colour() -> bool | None:
    """No colour where the user wants none (https://no-color.org); elsewhere as the sink can take it."""
    return False if os.environ.get("NO_COLOR") or is_dumb() else None


def wants_colour() -> bool:
    """Whether stdout shows colours and the user wants them."""
    return sys.stdout.isatty() and _colour() is None


def printable(text: str) -> str:
    """Text from elsewhere without what would move the cursor or end the line."""
    return "".join(character if character.isprintable() else "?" for character in text)


def open_what_is_closed() -> None:
    """Let a command that was started without one of the standard streams (`>&-`) run as with /dev/null there.

    Otherwise the next file or socket that is opened gets its number, and what is printed.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)  # In this order each gets its own number.
            os.set_inheritable(descriptor, True)
            setattr(sys, name, os.fdopen(descriptor, mode, encoding="utf-8"))


def accept_any_text() -> None:
    """Let a job's output be written whatever it holds: what the terminal's encoding lacks becomes `?`."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")
