"""Work that blocks, done beside the main thread, so that a signal always gets through.

The SDK runs its calls in a loop of its own, and may swallow an exception that a signal handler raises
in the thread that waits for one. The main thread therefore waits on nothing but a queue.
"""

from __future__ import annotations

import threading
from queue import Queue
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Item = TypeVar("Item")

_AHEAD = 64
"""How many items may wait to be taken: output is chunks of at most 64 KiB, which bounds the memory."""


def in_background(items: Iterable[Item]) -> Iterator[Item]:
    """Give what an iterable gives, from a thread that dies with the process; its errors come out here."""
    queue = Queue[tuple[Item] | BaseException | None](_AHEAD)

    def pump() -> None:
        try:
            for item in items:
                queue.put((item,))
            queue.put(None)
        except BaseException as error:  # noqa: BLE001 - raised again in the main thread
            queue.put(error)

    threading.Thread(target=pump, name="background", daemon=True).start()
    while (step := queue.get()) is not None:
        if isinstance(step, BaseException):
            raise step
        yield step[0]
