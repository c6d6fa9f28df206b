"""Talking to an engine without the SDK, which would not let one say what an attacker says."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from grpclib.client import Channel
from modal_proto import api_pb2, task_command_router_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from support.engine import Engine

SERVICES = {
    service.full_name: service
    for service in (
        api_pb2.DESCRIPTOR.services_by_name["ModalClient"],
        task_command_router_pb2.DESCRIPTOR.services_by_name["TaskCommandRouter"],
    )
}


class Bytes:
    """A codec that sends and gives bytes as they are."""

    __content_subtype__ = "proto"

    def encode(self, message: bytes, message_type: object) -> bytes:
        return message

    def decode(self, data: bytes, message_type: object) -> bytes:
        return data


@asynccontextmanager
async def channel(engine: Engine) -> AsyncIterator[Channel]:
    host, _, port = engine.endpoint.url.removeprefix("http://").partition(":")
    opened = Channel(host, int(port), codec=Bytes())
    try:
        yield opened
    finally:
        opened.close()


def token(engine: Engine) -> dict[str, str]:
    return {
        "x-modal-token-id": engine.endpoint.token_id,
        "x-modal-token-secret": engine.endpoint.token_secret,
    }


async def call(opened: Channel, path: str, message: bytes, metadata: dict[str, str]) -> bytes:
    """One call, answered once.

    Raises:
        GRPCError: It is refused.
    """
    from grpclib.client import UnaryUnaryMethod

    return await UnaryUnaryMethod(opened, path, bytes, bytes)(message, metadata=metadata, timeout=30)


def drive(body: Callable[[], Awaitable[Any]], seconds: float = 60) -> Any:
    async def within() -> Any:
        async with asyncio.timeout(seconds):
            return await body()

    return asyncio.run(within())
