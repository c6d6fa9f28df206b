"""Text on a terminal of a certain width: how much room it takes there, and how it is made to fit."""

from __future__ import annotations

import os
import shutil
import sys
import unicodedata
from typing import TYPE_CHECKING

import click

from trebuchet.cli.console import is_dumb

if TYPE_CHECKING:
    from typing import TextIO

_WIDE = frozenset("WF")
_OF_NO_WIDTH = frozenset({"Mn", "Me", "Cf"})


def columns_of(stream: TextIO) -> int | None:
    """How many columns the terminal behind a stream has; None where there is no terminal."""
    if not stream.isatty():
        return None
    # The environment, which goes first elsewhere, may tell a size that the terminal had once.
    return os.get_terminal_size(stream.fileno()).columns or shutil.get_terminal_size().columns


def width(text: str) -> int:
    """Columns that a line takes on a terminal, colours aside."""
    bare = click.unstyle(text)
    return len(bare) if bare.isascii() else sum(map(_columns, bare))


def cut(text: str, columns: int) -> str:
    """A line that takes so many columns at most; one that is cut loses its colours and ends in `…`."""
    if width(text) <= columns:
        return text
    taken, room = "", max(columns, 1) - 1
    for character in click.unstyle(text):
        room -= _columns(character)
        if room < 0:
            break
        taken += character
    return taken + "…"


def padded(text: str, columns: int) -> str:
    """A line filled up with spaces."""
    return text + " " * (columns - width(text))


def _columns(character: str) -> int:
    if unicodedata.east_asian_width(character) in _WIDE:
        return 2
    return 0 if unicodedata.category(character) in _OF_NO_WIDTH else 1


class MovingLine:
    """One line on stderr that is drawn over itself, where that is a terminal; elsewhere nothing."""

    def __init__(self) -> None:
        self.is_shown = sys.stderr.isatty() and not is_dumb()

    def draw(self, text: str) -> None:
        """Show this instead of what it showed before."""
        if self.is_shown:
            fitted = cut(text, (columns_of(sys.stderr) or 80) - 1)  # In the last column some would wrap.
            sys.stderr.write(f"\r\x1b[K{fitted}")
            sys.stderr.flush()

    def clear(self) -> None:
        """Make room for another line."""
        if self.is_shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
