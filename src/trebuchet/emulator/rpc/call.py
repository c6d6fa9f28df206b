"""What a handler knows beside its request."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from trebuchet.emulator.lobby import Lobby
    from trebuchet.emulator.rpc.tokens import Tokens
    from trebuchet.emulator.visits import Visits
    from trebuchet.emulator.world.world import World

T = TypeVar("T")

PYTHON_CLIENT = "1"
"""What the Python SDK says it is, in `x-modal-client-type`."""
REPEATS_KEPT = 2_000


class Repeats:
    """Work that was asked for, by idempotency key: the SDK repeats a call whose answer it did not get."""

    def __init__(self) -> None:
        self._work: dict[str, asyncio.Task[Any]] = {}

    async def once(self, key: str, work: Callable[[], Coroutine[None, None, T]]) -> T:
        """Do the work, or wait for what is already being done, or take its result.

        It goes on when its caller goes away. Work that fails may be done again.
        """
        task: asyncio.Task[T] | None = self._work.get(key) if key else None
        if task is None:
            task = asyncio.create_task(work())
            if key:
                self._remember(key, task)
        return await asyncio.shield(task)

    def _remember(self, key: str, task: asyncio.Task[Any]) -> None:
        self._work[key] = task
        task.add_done_callback(lambda done: self._forget_failed(key, done))
        while len(self._work) > REPEATS_KEPT:
            del self._work[next(iter(self._work))]

    def _forget_failed(self, key: str, task: asyncio.Task[Any]) -> None:
        if task.cancelled() or task.exception() is not None:
            self._work.pop(key, None)


@dataclass(frozen=True)
class Site:
    """What all calls share.

    Attributes:
        world: All state.
        tokens: Makes and checks what callers present.
        address: `127.0.0.1:PORT`.
        repeats: What was asked for before.
        visits: How sandboxes are visited over HTTP.
        lobby: Who has not shown a token yet.
    """

    world: World
    tokens: Tokens
    address: str
    repeats: Repeats
    visits: Visits
    lobby: Lobby

    @property
    def url(self) -> str:
        """Where blobs are put and got."""
        return f"http://{self.address}"


@dataclass(frozen=True)
class Call:
    """One call."""

    site: Site
    name: str
    metadata: Mapping[str, str]

    @property
    def world(self) -> World:
        """All state."""
        return self.site.world

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt at one call; empty where the caller gave none."""
        return self.metadata.get("x-idempotency-key", "")

    def environment(self, name: str) -> str:
        """The name of an environment that the caller names, or of the usual one.

        Raises:
            NotFoundError: There is none.
        """
        return self.world.environments.find(name).name

    @property
    def router_url(self) -> str:
        """Where this caller finds the command router.

        The Python SDK takes `http` on loopback as it is, and would speak TLS to `https`; the others insist on
        `https` and then speak cleartext on loopback.
        """
        scheme = (
            "http" if self.metadata.get("x-modal-client-type", PYTHON_CLIENT) == PYTHON_CLIENT else "https"
        )
        return f"{scheme}://{self.site.address}"

    async def once(self, work: Callable[[], Coroutine[None, None, T]]) -> T:
        """Do work that must not be done twice, nor be left half done."""
        return await self.site.repeats.once(
            f"{self.name}/{self.idempotency_key}" if self.idempotency_key else "", work
        )
