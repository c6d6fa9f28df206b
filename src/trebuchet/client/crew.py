"""Steps taken by a few threads at a time, which nobody has to wait for.

A call on a network that is dead may hang for minutes. The threads of `concurrent.futures` are waited for when
the interpreter ends, so that Ctrl-C would hang with them; these end with the process.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Step = Callable[[], Iterable["Step"]]

_GRACE_S = 1.0
"""How long threads may take to see that the work was given up; one that takes longer is left alone."""


class Crew:
    """A few threads.

    Args:
        size: How many.
        give_up: Called when a step fails, or the caller is interrupted: the others are to end soon.
    """

    def __init__(self, size: int, *, give_up: Callable[[], None]) -> None:
        self._size = size
        self._give_up = give_up
        self._todo = SimpleQueue["Step | None"]()
        self._done = SimpleQueue["list[Step] | BaseException"]()
        self._threads: list[threading.Thread] = []

    def work(self, steps: Iterable[Step]) -> None:
        """Take steps, and those that follow from them first; return when all are done.

        Raises:
            BaseException: What the first step that failed raised. Others may still go on for a moment.
        """
        try:
            self._work(steps)
        except BaseException:
            self._give_up()
            self._drop_what_waits()
            raise
        finally:
            self._dismiss()

    def _work(self, steps: Iterable[Step]) -> None:
        coming, following, running = iter(steps), deque["Step"](), 0
        while True:
            while running < 2 * self._size:
                step = following.popleft() if following else next(coming, None)
                if step is None:
                    break
                self._start_one()
                self._todo.put(step)
                running += 1
            if not running:
                return
            outcome = self._done.get()
            running -= 1
            if isinstance(outcome, BaseException):
                raise outcome
            following.extend(outcome)

    def _start_one(self) -> None:
        if len(self._threads) < self._size:
            thread = threading.Thread(target=self._serve, name="pull", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self) -> None:
        while (step := self._todo.get()) is not None:
            try:
                self._done.put(list(step()))
            except BaseException as error:  # noqa: BLE001 - raised again where the work is waited for
                self._done.put(error)

    def _drop_what_waits(self) -> None:
        try:
            while True:
                self._todo.get_nowait()
        except Empty:
            return

    def _dismiss(self) -> None:
        for _ in self._threads:
            self._todo.put(None)
        deadline = time.monotonic() + _GRACE_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
