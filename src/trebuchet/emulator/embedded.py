"""An engine within this process, on a thread of its own: for tests, which want it soon and gone for good."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from trebuchet.emulator.assembly import assemble
from trebuchet.emulator.errors import EmulatorError
from trebuchet.emulator.guard import Guard
from trebuchet.emulator.process.removal import remove_tree
from trebuchet.emulator.world.recipes import Recipes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import TypeVar

    from trebuchet.emulator.assembly import Parts
    from trebuchet.emulator.endpoint import Endpoint

    T = TypeVar("T")

START_TIMEOUT_S = 30.0
END_TIMEOUT_S = 30.0
LOOK_S = 0.01
_RECIPES = Recipes()
"""What all engines of this process were asked for."""


class EmbeddedEngine:
    """An engine whose sandboxes and whose state end with it, and with this process, however that ends."""

    def __init__(self, state: Path, *, layers: Path, gpus: str = "") -> None:
        """Remember what to start.

        Args:
            state: Its state directory, made by it and removed at its end.
            layers: Where the layers lie that sandboxes of many engines share; made once a machine.
            gpus: Pretended GPUs, `8xH100` say.
        """
        self._state = state
        self._layers = layers
        self._gpus = gpus
        self._thread = threading.Thread(target=self._run, name="trebuchet-engine", daemon=True)
        self._known = threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._parts: Parts | None = None
        self._leaving: asyncio.Event | None = None
        self._guard: Guard | None = None

    def start(self) -> Endpoint:
        """Start it; where it answers.

        Raises:
            EmulatorError: It cannot be started.
        """
        self._guard = Guard(self._state)
        self._thread.start()
        self._known.wait(START_TIMEOUT_S)
        if self._parts is None:
            raise EmulatorError(f"The local engine did not start: {self._failure or 'it takes too long'}.")
        return self._parts.endpoint

    def stop(self) -> None:
        """End its sandboxes, then itself, and remove its state.

        Raises:
            EmulatorError: It, or a sandbox, does not end.
        """
        if self._loop is not None and self._leaving is not None:
            with suppress(RuntimeError):  # the loop has gone by itself
                self._loop.call_soon_threadsafe(self._leaving.set)
        self._thread.join(2 * END_TIMEOUT_S)
        if self._thread.is_alive() or self._failure is not None:
            raise EmulatorError(f"The local engine did not end well: {self._failure or 'it still runs'}.")
        remove_tree(self._state)
        if self._guard is not None:
            self._guard.release()

    def calls(self) -> dict[str, int]:
        """How often each call was made since the last `clear_calls`."""
        return self._do(lambda parts: dict(parts.calls))

    def clear_calls(self) -> None:
        """Count from nothing again."""
        self._do(lambda parts: parts.calls.clear())

    def set_faults(self, faults: list[dict[str, object]]) -> None:
        """Let these things go wrong from now on, and nothing else.

        Raises:
            ValueError: One of them is no fault.
        """
        self._do(lambda parts: parts.faults.replace(json.dumps(faults)))

    def hold_gpus(self, held: Mapping[str, int]) -> None:
        """Let so many GPUs of each type be had by others; none frees all."""

        def hold(parts: Parts) -> None:
            parts.world.gpus.hold(held)
            parts.world.lifecycle.admit_waiting()

        self._do(hold)

    def alive(self) -> list[str]:
        """The ids of the sandboxes that have not ended."""
        return self._do(lambda parts: [sandbox.id for sandbox in parts.world.sandboxes.running()])

    def _do(self, what: Callable[[Parts], T]) -> T:
        """Do something on the engine's own thread, which alone touches its state."""
        if self._parts is None or self._loop is None:
            raise EmulatorError("The local engine does not run.")
        parts = self._parts

        async def work() -> T:
            return what(parts)

        return asyncio.run_coroutine_threadsafe(work(), self._loop).result(END_TIMEOUT_S)

    def _run(self) -> None:
        try:
            asyncio.run(self._live())
        except BaseException as error:  # noqa: BLE001 - told to whoever starts or stops it
            self._failure = error
        finally:
            self._parts = None
            self._known.set()

    async def _live(self) -> None:
        self._loop, self._leaving = asyncio.get_running_loop(), asyncio.Event()
        async with assemble(
            self._state, gpus=self._gpus, layers=self._layers, sharing="isolated", recipes=_RECIPES
        ) as parts:
            self._parts = parts
            self._known.set()
            await self._leaving.wait()
            await _end_sandboxes(parts)


async def _end_sandboxes(parts: Parts) -> None:
    sandboxes, lifecycle = parts.world.sandboxes, parts.world.lifecycle
    async with asyncio.timeout(END_TIMEOUT_S):
        while lifecycle.busy:
            for sandbox in sandboxes.running():
                lifecycle.terminate(sandbox.id)
            await asyncio.sleep(LOOK_S)
