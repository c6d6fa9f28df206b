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
    from collections.abc import Sequence
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


_STATE, _JOB = "STATE", "JOB"
_OF_ANY_LENGTH = frozenset({"NAME", "CLUSTER", "WHY", "SAID LAST"})
_GAP = 2
_SHORTEST = 8


def fitting_columns(heads: Sequence[str], widths: Sequence[int], room: int) -> list[tuple[int, int]]:
    """Which columns of a table are shown where there is so much room, and how wide each is.

    Words of any length are shortened first; then the last columns go, the state the very last.
    """
    kept = dict(enumerate(widths))

    def missing() -> int:
        return sum(kept.values()) + _GAP * (len(kept) - 1) - room

    while missing() > 0:
        words = [at for at in kept if heads[at] in _OF_ANY_LENGTH and kept[at] > _SHORTEST]
        others = [at for at in kept if heads[at] not in {_JOB, _STATE}] or [
            at for at in kept if heads[at] != _STATE
        ]
        if words:
            kept[max(words, key=kept.__getitem__)] -= 1
        elif others:
            del kept[others[-1]]
        else:
            break
    return list(kept.items())


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
