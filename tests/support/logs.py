"""A control plane that has nothing but one log, cut as a test wants it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from trebuchet.errors import ClusterUnreachableError
from trebuchet.plan.markers import nonce_for
from trebuchet.status import LogEntry, LogPosition

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "k"
START = datetime(2026, 1, 1, tzinfo=UTC)
MARKER = f"[trebuchet:{nonce_for(KEY)}] phase=run\n"


@dataclass
class LogKeeper:
    """Stands where an engine would, as far as logs go.

    Attributes:
        log: What the sandbox printed.
        breaks: After how many entries each of the next answers breaks off.
    """

    log: list[LogEntry]
    breaks: list[int] = field(default_factory=list)

    def logs(
        self, _sandbox_id: str, *, after: LogPosition | None = None, tail: int | None = None, **_: Any
    ) -> Iterator[LogEntry]:
        given, met, last = 0, 0, None
        limit = self.breaks.pop(0) if self.breaks else None
        for entry in self.log if tail is None else self.log[-tail:]:
            met = met + 1 if entry.timestamp == last else 1
            last = entry.timestamp
            if after is not None and (entry.timestamp, met) <= (after.timestamp, after.count):
                continue
            if limit is not None and given >= limit:
                raise ClusterUnreachableError("It broke.")
            given += 1
            yield entry


@st.composite
def logs(draw: st.DrawFn) -> list[LogEntry]:
    """A log of two streams with markers in it, cut anywhere, several entries at the same time."""
    texts = st.lists(
        st.sampled_from(["a\n", "bc", "\r5%", "é\n", "[treb", "\x1b[31mred\n", MARKER]), max_size=12
    )
    pieces: list[tuple[str, str]] = []
    for source in ("stdout", "stderr"):
        text = "".join(draw(texts))
        cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=6)))
        ends = [0, *cuts, len(text)]
        pieces += [(source, text[a:b]) for a, b in pairwise(ends) if a < b]
    order = _interleaved(draw, pieces)
    gaps = draw(st.lists(st.integers(0, 2), min_size=len(pieces), max_size=len(pieces)))
    clock, found = 0, []
    for (source, text), gap in zip(order, gaps, strict=True):
        clock += gap
        found.append(LogEntry(START + timedelta(microseconds=clock), source, text))  # pyright: ignore
    return found


def _interleaved(draw: st.DrawFn, pieces: list[tuple[str, str]]) -> list[tuple[str, str]]:
    queues = {name: [one for one in pieces if one[0] == name] for name in ("stdout", "stderr")}
    order: list[tuple[str, str]] = []
    while any(queues.values()):
        name = draw(st.sampled_from([name for name, queue in queues.items() if queue]))
        order.append(queues[name].pop(0))
    return order


def text_of(entries: list[LogEntry], source: str) -> str:
    """What one stream said, in full."""
    return "".join(entry.message for entry in entries if entry.source == source)


def shown(entries: list[LogEntry], source: str) -> str:
    """What a person is to see of one stream."""
    return text_of(entries, source).replace(MARKER, "") if source == "stderr" else text_of(entries, source)
