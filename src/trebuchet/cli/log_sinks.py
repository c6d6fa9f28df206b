"""Where the pieces of a log go: to the terminal as they are, with prefixes, as JSON, to a file."""

from __future__ import annotations

import json
import re
import sys
import time
from typing import TYPE_CHECKING, Protocol

import click

from trebuchet.cli.console import tell, wants_colour
from trebuchet.cli.leaving import for_a_reader

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self, TextIO

    from trebuchet.logs.pieces import Piece

_COLOURS = ("cyan", "yellow", "green", "magenta", "blue", "red")
_PROGRESS_S = 0.5


class Sink(Protocol):
    """Takes the pieces of a log, each with the cursor after it."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def take(self, piece: Piece, cursor: str) -> None: ...


class _Open:
    """A sink that has nothing to open or to close."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class JsonSink(_Open):
    """An object a line."""

    def take(self, piece: Piece, cursor: str) -> None:
        entry = piece.entry
        record = {
            "job": piece.key,
            "attempt": piece.place.attempt,
            "timestamp": entry.timestamp.isoformat(),
            "source": entry.source,
            "message": entry.message,
            "cursor": cursor,
        }
        with for_a_reader():
            sys.stdout.write(json.dumps(record, ensure_ascii=False) + "\n")
            sys.stdout.flush()


_DRAWN_OVER = re.compile(r"\r(?=[^\r\n])")
"""Back to the beginning of a line, to write there what hides all that stood on it."""


class Labeller:
    """Puts the job's name and the time before each line.

    Args:
        labels: What to put before a job's lines, by its key; none for no labels.
        timestamps: Whether to put the time there.
        on_terminal: Whether the text is drawn: then what a progress bar draws over its line gets them too.
    """

    def __init__(self, labels: Mapping[str, str], *, timestamps: bool, on_terminal: bool = False) -> None:
        self._labels = labels
        self._timestamps = timestamps
        self._on_terminal = on_terminal
        self._open: tuple[str, int] | None = None
        """The job and the attempt whose line the sink is in the middle of."""
        self._at_margin = False
        """Whether what comes next on that line is drawn over its beginning."""

    def label(self, piece: Piece) -> str:
        """The piece as it is to be written after all pieces before it."""
        text = piece.entry.message
        if not text:
            return ""
        prefix = self._labels.get(piece.key, "")
        if self._timestamps:
            prefix += piece.entry.timestamp.isoformat(timespec="milliseconds").replace("+00:00", "Z") + " "
        writer = piece.key, piece.place.attempt
        other = self._open not in {None, writer}
        begins_line = self._open != writer or (self._at_margin and text[0] not in "\r\n")
        self._open = None if text.endswith("\n") else writer
        self._at_margin = self._on_terminal and text.endswith("\r")
        inner = text.removesuffix("\n").replace("\n", "\n" + prefix)
        if self._on_terminal:
            inner = _DRAWN_OVER.sub(lambda _: "\r" + prefix, inner)
        start = ("\n" if other else "") + (prefix if begins_line else "")
        return start + inner + ("\n" if text.endswith("\n") else "")


class LineSink(_Open):
    """The jobs' stdout to stdout, all else to stderr, with labels or as it is; an attempt begins a line."""

    def __init__(self, labels: Mapping[str, str], *, timestamps: bool) -> None:
        self._sinks = {
            name: (sink, Labeller(labels, timestamps=timestamps, on_terminal=sink.isatty()))
            for name, sink in (("stdout", sys.stdout), ("stderr", sys.stderr))
        }

    def take(self, piece: Piece, cursor: str) -> None:
        del cursor
        sink, labeller = self._sinks["stdout" if piece.entry.source == "stdout" else "stderr"]
        with for_a_reader():
            sink.write(labeller.label(piece))
            sink.flush()


class FileSink:
    """All streams into one file, with a line on the terminal about how much it is."""

    def __init__(self, path: Path, labels: Mapping[str, str], *, timestamps: bool) -> None:
        self._path = path
        self._labeller = Labeller(labels, timestamps=timestamps)
        self._file: TextIO | None = None
        self._size = 0
        self._next = 0.0

    def __enter__(self) -> Self:
        self._file = self._path.open("w", encoding="utf-8", errors="replace", newline="")
        self._next = time.monotonic() + _PROGRESS_S
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
        if sys.stderr.isatty():
            sys.stderr.write("\r\x1b[K")
        tell(f"{self._path}: {_amount(self._size)}" + (", broken off" if kind is not None else ""))

    def take(self, piece: Piece, cursor: str) -> None:
        del cursor
        assert self._file is not None  # noqa: S101 - it was entered; for the type checker
        text = self._labeller.label(piece)
        self._file.write(text)
        self._size += len(text)
        if time.monotonic() >= self._next and sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[K{self._path}: {_amount(self._size)}")
            sys.stderr.flush()
            self._next = time.monotonic() + _PROGRESS_S


def prefixes(keys: Sequence[str], *, coloured: bool) -> dict[str, str]:
    """What stands before the lines of each of several jobs; nothing for one alone."""
    if len(keys) < 2:
        return {}
    width = max(map(len, keys))
    paint = coloured and wants_colour()
    return {
        key: (
            click.style(f"{key:<{width}} |", fg=_COLOURS[index % len(_COLOURS)])
            if paint
            else f"{key:<{width}} |"
        )
        + " "
        for index, key in enumerate(keys)
    }


def _amount(characters: int) -> str:
    if characters < 1_000_000:
        return f"{characters:,} characters"
    return f"{characters / 1_000_000:,.1f} million characters"
