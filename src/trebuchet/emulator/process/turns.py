"""Taking turns: one at a time for each of many things, of which none is remembered that nobody uses."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Hashable

Thing = TypeVar("Thing", bound="Hashable")


@dataclass
class _Queue:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0
    """Those who wait count too: one that was woken has not got the lock yet."""


class Turns(Generic[Thing]):
    """Who has the turn for what, and who waits for it."""

    def __init__(self) -> None:
        self._queues: dict[Thing, _Queue] = {}

    @asynccontextmanager
    async def turn(self, thing: Thing) -> AsyncGenerator[None]:
        """Have the turn for one thing within the block; it comes when all before have had theirs."""
        queue = self._queues.setdefault(thing, _Queue())
        queue.users += 1
        try:
            async with queue.lock:
                yield
        finally:
            queue.users -= 1
            if not queue.users:
                del self._queues[thing]
