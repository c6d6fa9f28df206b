"""Real sandboxes for the tests, driven through `ProcessHost` as the daemon drives them."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from support.sandboxes import Ended, Sandboxes, end_now, warm_up
from trebuchet.emulator.process.host import ProcessHost

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

PATIENCE_S = 60


@pytest.fixture(scope="session")
def engine_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A state directory; the shared layers in it are made once, and not while a test looks at the clock."""
    state = tmp_path_factory.mktemp("engine")
    asyncio.run(warm_up(state))
    yield state
    for folder in (state / "sandboxes").glob("*"):
        with contextlib.suppress(Exception):
            end_now(state, folder)


@pytest.fixture
def drive(engine_state: Path) -> Callable[..., None]:
    """Run a coroutine function on a host of its own, as a daemon would."""

    def run(body: Callable[[Sandboxes], Awaitable[None]], **options: Any) -> None:
        async def within() -> None:
            async with asyncio.timeout(PATIENCE_S), ProcessHost(engine_state, **options) as host:
                await body(Sandboxes(host, engine_state))

        asyncio.run(within())

    return run


@pytest.fixture
def run_script(drive: Callable[..., None]) -> Callable[..., Ended]:
    """Run one script in a sandbox to its end."""

    def run(script: str, **fields: Any) -> Ended:
        found: list[Ended] = []

        async def body(sandboxes: Sandboxes) -> None:
            found.append(await sandboxes.run(script, **fields))

        drive(body)
        return found[0]

    return run
