"""One port for both protocols: a connection's first bytes tell gRPC (HTTP/2) from plain HTTP/1.1."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trebuchet.emulator.lobby import Lobby

PREFACE = b"PRI * HTTP/2.0"
TELLING = 3
"""How many bytes tell: no HTTP/1.1 method begins with `PRI`."""


class Door(asyncio.Protocol):
    """Looks at a new connection, and hands it to the protocol it speaks."""

    def __init__(
        self,
        *,
        lobby: Lobby,
        grpc: Callable[[], asyncio.Protocol],
        http: Callable[[], Awaitable[asyncio.Protocol]],
    ) -> None:
        """Know who speaks what.

        Args:
            lobby: Where it waits until its caller has shown a token.
            grpc: Makes a protocol for a connection that speaks gRPC.
            http: Makes one for a connection that speaks HTTP/1.1, which may take a moment.
        """
        self._lobby = lobby
        self._grpc = grpc
        self._http = http
        self._seen = b""
        self._opening: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for its first bytes."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a stream server gives no other
        self._transport = transport
        self._lobby.enter(transport)

    def data_received(self, data: bytes) -> None:
        """Hand the connection on as soon as it is clear to whom."""
        self._seen += data
        if len(self._seen) < TELLING or self._transport is None or self._opening is not None:
            return
        if PREFACE.startswith(self._seen[:TELLING]):
            self._hand_on(self._transport, self._grpc())
        else:
            self._transport.pause_reading()
            self._opening = asyncio.get_running_loop().create_task(self._open(self._transport))

    async def _open(self, transport: asyncio.Transport) -> None:
        protocol = await self._http()
        self._hand_on(transport, protocol)
        transport.resume_reading()

    def _hand_on(self, transport: asyncio.Transport, protocol: asyncio.Protocol) -> None:
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        protocol.data_received(self._seen)

    def connection_lost(self, exc: Exception | None) -> None:
        """It went away without a word."""
        del exc
        self._lobby.admit(self._transport)
        if self._opening is not None:
            self._opening.cancel()
