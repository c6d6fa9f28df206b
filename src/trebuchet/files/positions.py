"""Where each value of a document stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trebuchet.job import WHOLE, Position

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from trebuchet.files.tree import Entry


def positions(document: Entry, renamed: Mapping[str, tuple[str, ...]]) -> dict[str, Position]:
    """Each value, leaf or not, and the whole, by its dotted name in `JobConfig`.

    Args:
        document: The file's tree.
        renamed: Dotted key in the file to those it has in `JobConfig`, where they differ.
    """
    found = {WHOLE: Position(WHOLE, document.line, document.column, leaf=False)}
    for key, entry, leaf in _values("", document):
        position = Position(key, entry.line, entry.column, leaf)
        for ours in _ours(key, renamed):
            # Two keys may come to one field: it stands at the first that says something, the other below it.
            taken = ours in found and found[ours].leaf
            found[f"{ours}.{key.rpartition('.')[2]}" if taken else ours] = position
    return found


def _values(key: str, entry: Entry) -> Iterator[tuple[str, Entry, bool]]:
    inner = list(entry.mapping.items())
    if any(one.is_mapping for one in entry.members):
        inner = [(str(index), one) for index, one in enumerate(entry.members)]
    if key:
        yield key, entry, not inner
    for name, one in inner:
        yield from _values(f"{key}.{name}" if key else name, one)


def _ours(key: str, renamed: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The names a key has in `JobConfig`: by itself, or by the closest key above it that has others."""
    name, rest = key, ""
    while name:
        if name in renamed:
            return tuple(f"{ours}{rest}" for ours in renamed[name])
        name, _, last = name.rpartition(".")
        rest = f".{last}{rest}"
    return (key,)
