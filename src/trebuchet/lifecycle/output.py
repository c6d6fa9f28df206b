"""A job's output as people see it: without the wrapper's own lines."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from trebuchet.status import LogEntry


def without_markers(entries: Iterable[LogEntry], key: str) -> Iterator[LogEntry]:
    """The entries of one job's log, less the marker lines; an entry that held nothing else is left out."""
    from trebuchet.plan.markers import MarkerFilter, nonce_for  # noqa: PLC0415 - a status reads no output

    markers, last = MarkerFilter(nonce_for(key)), None
    for entry in entries:
        if entry.source != "stderr":
            yield entry
            continue
        last = entry
        shown = markers.feed(entry.message)
        if shown == entry.message:
            yield entry
        elif shown:
            yield replace(entry, message=shown)
    held = markers.flush()
    if held and last is not None:
        yield replace(last, message=held)
