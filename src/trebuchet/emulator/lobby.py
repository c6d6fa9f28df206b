"""Connections whose callers have not shown a token yet: they get little time, and there are only so many.

Anybody on this machine can connect, a program in a sandbox too. Without this they could take all the files
that the daemon may have open, and keep them.
"""

from __future__ import annotations

import asyncio

PATIENCE_S = 30.0
MOST_STRANGERS = 1_000


class Lobby:
    """All such connections, the oldest first."""

    def __init__(self, *, patience_s: float = PATIENCE_S, most: int = MOST_STRANGERS) -> None:
        """Bound them.

        Args:
            patience_s: How long one is kept.
            most: How many are kept at a time: a further one takes the place of the oldest.
        """
        self._patience_s = patience_s
        self._most = most
        self._strangers: dict[asyncio.BaseTransport, asyncio.TimerHandle] = {}

    def enter(self, transport: asyncio.WriteTransport) -> None:
        """A connection was made."""
        loop = asyncio.get_running_loop()
        self._strangers[transport] = loop.call_later(self._patience_s, self._turn_out, transport)
        if len(self._strangers) > self._most:
            self._turn_out(next(iter(self._strangers)))

    def admit(self, transport: asyncio.BaseTransport | None) -> None:
        """Its caller has shown what is wanted, or it has gone: it is of no concern any more."""
        if transport is not None and (impatience := self._strangers.pop(transport, None)):
            impatience.cancel()

    def _turn_out(self, transport: asyncio.BaseTransport) -> None:
        self.admit(transport)
        if isinstance(transport, asyncio.WriteTransport):
            transport.abort()  # `close` would wait for it to take what was sent
