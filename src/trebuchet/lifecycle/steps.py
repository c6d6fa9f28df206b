"""Every step that leaves this process, counted: ledger writes, calls of the control plane, processes started.

That is how the crash tests find all places where a process may die: with `TREBUCHET_CRASH_AT=N` it is killed
at the Nth, and with `TREBUCHET_STEPS=FILE` their names are written down.
"""

from __future__ import annotations

import functools
import itertools
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from trebuchet.engines.base import Engine

_counter = itertools.count(1)


def step(name: str) -> None:
    """Stand before, and again after, whatever leaves this process."""
    crash_at, record = os.environ.get("TREBUCHET_CRASH_AT"), os.environ.get("TREBUCHET_STEPS")
    if crash_at is None and record is None:
        return
    number = next(_counter)
    if record is not None:
        with Path(record).open("a", encoding="utf-8") as file:
            file.write(f"{number} {name}\n")
    if crash_at is not None and number == int(crash_at):
        os.kill(os.getpid(), signal.SIGKILL)


class SteppedEngine:
    """An engine whose every call is a step."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._engine, name)
        return _stepped(name, attribute) if callable(attribute) else attribute


def _stepped(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(call)
    def counted(*arguments: Any, **options: Any) -> Any:
        step(f"before engine {name}")
        answer = call(*arguments, **options)
        step(f"after engine {name}")
        return answer

    return counted
