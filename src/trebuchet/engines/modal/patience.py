"""How long the answer to a small question is waited for: for one that hangs the SDK waits for ever."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

from trebuchet.errors import ClusterUnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable

QUIET_S = 15.0
"""So long without a word, of a list too, whose pages are words of their own."""

_Answer = TypeVar("_Answer")


def answered(ask: Callable[[Callable[[], None]], _Answer]) -> _Answer:
    """What a question gives, asked in a thread that is left behind where no answer comes.

    Args:
        ask: The question, which changes nothing if it is heard late. It is given what to call at each word.

    Raises:
        ClusterUnreachableError: Nothing was heard for `QUIET_S` seconds.
    """
    answer, heard_at = Future["_Answer"](), [time.monotonic()]

    def heard() -> None:
        heard_at[0] = time.monotonic()

    def run() -> None:
        try:
            answer.set_result(ask(heard))
        except BaseException as error:  # noqa: BLE001 - it is raised where the answer is waited for
            answer.set_exception(error)

    threading.Thread(target=run, name="look-up", daemon=True).start()
    while (left := heard_at[0] + QUIET_S - time.monotonic()) > 0:
        try:
            return answer.result(timeout=left)
        except TimeoutError:
            if answer.done():  # It is what the question itself raised.
                raise
    raise ClusterUnreachableError(
        f"The control plane has given no answer for {QUIET_S:.0f} seconds.",
        hint="Check the network; `trebuchet doctor` looks closer.",
    )
