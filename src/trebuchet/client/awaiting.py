"""The items of an iterator that blocks, for programs with an event loop."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

Item = TypeVar("Item")


class Awaiting(Generic[Item]):
    """Gives the items one by one; the event loop goes on while one is waited for.

    A thread of its own takes an item when it is asked for, and none ahead. The loop's own threads would be
    waited for when the loop ends, and an item may be hours away. Waiting that is cancelled, by a time-out
    say, loses nothing: the item comes when it is asked for next.

    Args:
        items: Whose `next` blocks.
    """

    def __init__(self, items: Iterator[Item]) -> None:
        self._items = items
        self._step: Future[tuple[Item] | None] | None = None
        self._is_waited_for = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        if self._is_waited_for:
            raise RuntimeError("Another task waits for the next item already.")
        step = self._step = self._step or _begun(self._items)
        self._is_waited_for = True
        try:
            await _done(step)
        finally:
            self._is_waited_for = False
        self._step = None
        found = step.result()
        if found is None:
            raise StopAsyncIteration
        return found[0]


def _begun(items: Iterator[Item]) -> Future[tuple[Item] | None]:
    """The next item once it is there, in a tuple; None at the end."""
    step = Future[tuple[Item] | None]()

    def take() -> None:
        try:
            for item in items:
                step.set_result((item,))
                return
            step.set_result(None)
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            step.set_exception(error)

    threading.Thread(target=take, name="awaited", daemon=True).start()
    return step


async def _done(step: Future[tuple[Item] | None]) -> None:
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def wake(_: object) -> None:
        with suppress(RuntimeError):  # The loop has ended meanwhile.
            loop.call_soon_threadsafe(done.set)

    step.add_done_callback(wake)
    await done.wait()
