"""Who is there: the token and the workspace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modal_proto import api_pb2

from trebuchet.emulator.rpc.packing import IMAGE_BUILDER_VERSION
from trebuchet.emulator.rpc.registry import CONTROL

if TYPE_CHECKING:
    from google.protobuf.empty_pb2 import Empty

    from trebuchet.emulator.rpc.call import Call

WORKSPACE = "local"
"""The one that there is, and the name of who is in it."""


@CONTROL.unary("AuthTokenGet")
async def get_auth_token(call: Call, _: api_pb2.AuthTokenGetRequest) -> api_pb2.AuthTokenGetResponse:
    return api_pb2.AuthTokenGetResponse(token=call.site.tokens.make_pass("session"))


@CONTROL.unary("ClientHello")
async def hello(_: Call, __: Empty) -> api_pb2.ClientHelloResponse:
    return api_pb2.ClientHelloResponse(image_builder_version=IMAGE_BUILDER_VERSION)


@CONTROL.unary("WorkspaceNameLookup")
async def look_up_workspace(_: Call, __: Empty) -> api_pb2.WorkspaceNameLookupResponse:
    return api_pb2.WorkspaceNameLookupResponse(workspace_name=WORKSPACE, username=WORKSPACE)


@CONTROL.unary("TokenInfoGet")
async def tell_token(call: Call, _: api_pb2.TokenInfoGetRequest) -> api_pb2.TokenInfoGetResponse:
    return api_pb2.TokenInfoGetResponse(
        token_id=call.metadata.get("x-modal-token-id", ""),
        workspace_id=WORKSPACE,
        workspace_name=WORKSPACE,
        user_identity=api_pb2.UserIdentity(user_id=WORKSPACE, username=WORKSPACE),
    )
