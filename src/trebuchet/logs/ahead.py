"""What several sources give, read in threads of their own ahead of whoever takes it."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

Item = TypeVar("Item")


def read_ahead(
    sources: Sequence[Iterable[Item]], *, most: int, name: str = "ahead"
) -> Generator[Item, None, None]:
    """Each item as soon as it is there, until all sources have ended.

    A source that breaks off breaks the whole off, with its error: silence would look like its end. Closed
    before its end, it closes the sources: each is left by its own thread, one that waits for an item when
    that comes. The threads die with the process.

    Args:
        sources: What to read.
        most: How many items of all of them may wait to be taken.
        name: Of the threads.
    """
    shelf = _Shelf[Item](most)
    try:
        for source in sources:
            threading.Thread(target=_pump, args=(source, shelf), name=name, daemon=True).start()
        for _ in sources:
            while (step := shelf.take()) is not None:
                if isinstance(step, BaseException):
                    raise step
                yield step[0]
    finally:
        shelf.close()


def _pump(source: Iterable[Item], shelf: _Shelf[Item]) -> None:
    end: BaseException | None = None
    try:
        for item in source:
            if not shelf.put((item,)):
                break
        if (close := getattr(source, "close", None)) is not None:
            close()
    except BaseException as error:  # noqa: BLE001 - raised again where the items are taken
        end = error
    shelf.put(end)


class _Shelf(Generic[Item]):
    """Where a few items wait. Unlike a `Queue`, it lets go of those that wait for room when it is closed.

    Args:
        most: How many items there is room for.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._items: deque[tuple[Item] | BaseException | None] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def put(self, item: tuple[Item] | BaseException | None) -> bool:
        """Wait for room and put it there; False where nobody wants it any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._items) < self._most)
            if not self._closed:
                self._items.append(item)
                self._changed.notify_all()
            return not self._closed

    def take(self) -> tuple[Item] | BaseException | None:
        """The next item; waits for it."""
        with self._changed:
            self._changed.wait_for(lambda: self._items)
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()
