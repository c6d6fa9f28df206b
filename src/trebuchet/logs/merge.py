"""The logs of several jobs as one."""

from __future__ import annotations

import heapq
import threading
from queue import Queue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from trebuchet.logs.pieces import Piece

_AHEAD = 32
"""How many pieces of all jobs together may wait: each is 64 KiB at most, which bounds the memory."""


def by_time(logs: Sequence[Iterable[Piece]]) -> Iterator[Piece]:
    """Logs that have their ends, in the order of time; each keeps its own order."""
    return heapq.merge(*logs, key=lambda piece: piece.entry.timestamp)


def as_they_come(logs: Sequence[Iterable[Piece]]) -> Iterator[Piece]:
    """Logs that are followed, each piece as soon as it is there, until all have ended.

    A log that breaks off breaks the whole off, with its error: silence would look like its end.
    """
    queue: Queue[Piece | BaseException | None] = Queue(_AHEAD)

    def pump(log: Iterable[Piece]) -> None:
        try:
            for piece in log:
                queue.put(piece)
            queue.put(None)
        except BaseException as error:  # noqa: BLE001 - raised again where the pieces are taken
            queue.put(error)

    for log in logs:
        threading.Thread(target=pump, args=(log,), name="log", daemon=True).start()
    for _ in logs:
        while (step := queue.get()) is not None:
            if isinstance(step, BaseException):
                raise step
            yield step
