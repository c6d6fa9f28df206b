"""Work that blocks, done beside the main thread, so that a signal always gets through.

The SDK runs its calls in a loop of its own, and may swallow an exception that a signal handler raises
in the thread that waits for one. The main thread therefore waits on nothing but a queue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from trebuchet.logs.ahead import read_ahead

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

Item = TypeVar("Item")

_AHEAD = 64
"""How many items may wait to be taken: output is chunks of at most 64 KiB, which bounds the memory."""


def in_background(items: Iterable[Item]) -> Generator[Item, None, None]:
    """Give what an iterable gives, from a thread that dies with the process; its errors come out here.

    Closed before the end, it closes what it reads from.
    """
    return read_ahead([items], most=_AHEAD, name="background")
