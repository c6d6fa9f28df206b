"""One port for both protocols: a connection's first bytes tell gRPC (HTTP/2) from plain HTTP/1.1."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

PREFACE = b"PRI * HTTP/2.0"
TELLING = 3
"""How many bytes tell: no HTTP/1.1 method begins with `PRI`."""
SILENCE_S = 30.0


class Door(asyncio.Protocol):
    """Looks at a new connection, and hands it to the protocol it speaks."""

    def __init__(self, *, grpc: Callable[[], asyncio.Protocol], http: Callable[[], asyncio.Protocol]) -> None:
        self._grpc = grpc
        self._http = http
        self._seen = b""
        self._transport: asyncio.Transport | None = None
        self._impatience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for its first bytes, though not forever."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a stream server gives no other
        self._transport = transport
        self._impatience = asyncio.get_running_loop().call_later(SILENCE_S, transport.abort)

    def data_received(self, data: bytes) -> None:
        """Hand the connection on as soon as it is clear to whom."""
        self._seen += data
        if len(self._seen) < TELLING or self._transport is None:
            return
        self._calm()
        protocol = self._grpc() if PREFACE.startswith(self._seen[:TELLING]) else self._http()
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        protocol.data_received(self._seen)

    def connection_lost(self, exc: Exception | None) -> None:
        """It went away without a word."""
        del exc
        self._calm()

    def _calm(self) -> None:
        if self._impatience is not None:
            self._impatience.cancel()
