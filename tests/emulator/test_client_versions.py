"""Programs whose SDK is too old hear that at once, and in words."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from google.protobuf.empty_pb2 import Empty
from grpclib import GRPCError, Status
from grpclib.client import Channel
from modal_proto.api_grpc import ModalClientStub

if TYPE_CHECKING:
    from support.engine import Engine


def look_up(engine: Engine, **said: str) -> str:
    """The workspace's name, asked for by a client that says this of itself."""

    async def ask() -> str:
        host, _, port = engine.endpoint.url.removeprefix("http://").partition(":")
        metadata = {
            "x-modal-token-id": engine.endpoint.token_id,
            "x-modal-token-secret": engine.endpoint.token_secret,
        } | {f"x-modal-client-{name}": value for name, value in said.items()}
        channel = Channel(host, int(port))
        try:
            stub = ModalClientStub(channel)
            answer = await stub.WorkspaceNameLookup(Empty(), metadata=metadata, timeout=30)
            return answer.workspace_name
        finally:
            channel.close()

    return asyncio.run(ask())


@pytest.mark.parametrize("version", ["0.73.1", "1.3.0", "1.4.3"])
def test_a_python_client_that_is_too_old_is_told_which_are_not(engine: Engine, version: str) -> None:
    with pytest.raises(GRPCError, match=f"from version 1.5 on, and this is {version}") as refused:
        look_up(engine, type="1", version=version)
    assert refused.value.status is Status.FAILED_PRECONDITION


@pytest.mark.parametrize(
    ("kind", "version"),
    [("1", "1.5.0"), ("1", "1.10.2"), ("1", "2.0.0.dev3"), ("1", "a fork"), ("8", "0.3.4")],
)
def test_others_are_served(engine: Engine, kind: str, version: str) -> None:
    assert look_up(engine, type=kind, version=version) == "local"


def test_one_that_says_nothing_of_itself_is_served(engine: Engine) -> None:
    assert look_up(engine) == "local"
