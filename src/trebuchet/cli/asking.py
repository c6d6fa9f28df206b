"""Questions to the person at the terminal."""

from __future__ import annotations

import click

from trebuchet.errors import UsageError


def confirmed(question: str) -> bool:
    """Ask on stderr; whether the answer was yes.

    Raises:
        UsageError: There is nobody to answer: stdin is at its end.
        Abort: Ctrl-C.
    """
    try:
        return click.confirm(question, err=True)
    except click.Abort as abort:
        if isinstance(abort.__context__, EOFError):
            raise UsageError("There is no terminal to ask on.", hint="-y asks nothing.") from None
        raise


def require_confirmation(question: str) -> None:
    """Ask on stderr, and go no further unless the answer is yes.

    Raises:
        UsageError: As `confirmed`.
        Abort: The answer was no, or Ctrl-C.
    """
    if not confirmed(question):
        raise click.Abort
