"""Where each leaf of a document stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trebuchet.job import Position

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trebuchet.files.tree import Entry


def positions(document: Entry) -> dict[str, Position]:
    """Each leaf by its dotted name: a scalar, an empty collection, or a list with no mapping in it."""
    return dict(_leaves("", document))


def _leaves(key: str, entry: Entry) -> Iterator[tuple[str, Position]]:
    value = entry.value
    inner: Iterator[tuple[str, Entry]] | None = None
    if isinstance(value, dict):
        inner = iter(value.items())
    elif isinstance(value, list) and any(isinstance(one.value, dict) for one in value):
        inner = ((str(index), one) for index, one in enumerate(value))
    if inner is None or not value:
        if key:
            yield key, Position(key, entry.line, entry.column)
        return
    for name, one in inner:
        yield from _leaves(f"{key}.{name}" if key else name, one)
