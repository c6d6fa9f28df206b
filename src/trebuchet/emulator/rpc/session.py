"""Who is there: the token, the environment, the apps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.empty_pb2 import Empty
from modal_proto import api_pb2

from trebuchet.emulator.rpc.registry import CONTROL
from trebuchet.emulator.world.apps import DEFAULT_ENVIRONMENT

if TYPE_CHECKING:
    from trebuchet.emulator.rpc.call import Call

IMAGE_BUILDER_VERSION = "2025.06"
"""One that every SDK of the supported range knows."""


@CONTROL.unary("AuthTokenGet")
async def get_auth_token(call: Call, _: api_pb2.AuthTokenGetRequest) -> api_pb2.AuthTokenGetResponse:
    return api_pb2.AuthTokenGetResponse(token=call.site.tokens.make_pass("session"))


@CONTROL.unary("ClientHello")
async def hello(_: Call, __: Empty) -> api_pb2.ClientHelloResponse:
    return api_pb2.ClientHelloResponse(image_builder_version=IMAGE_BUILDER_VERSION)


@CONTROL.unary("WorkspaceNameLookup")
async def look_up_workspace(_: Call, __: Empty) -> api_pb2.WorkspaceNameLookupResponse:
    return api_pb2.WorkspaceNameLookupResponse(workspace_name="local", username="local")


@CONTROL.unary("EnvironmentGetOrCreate")
async def get_environment(
    _: Call, request: api_pb2.EnvironmentGetOrCreateRequest
) -> api_pb2.EnvironmentGetOrCreateResponse:
    name = request.deployment_name or DEFAULT_ENVIRONMENT
    settings = api_pb2.EnvironmentSettings(image_builder_version=IMAGE_BUILDER_VERSION)
    metadata = api_pb2.EnvironmentMetadata(name=name, settings=settings)
    return api_pb2.EnvironmentGetOrCreateResponse(environment_id=f"en-{name}", metadata=metadata)


@CONTROL.unary("AppGetOrCreate")
async def get_app(call: Call, request: api_pb2.AppGetOrCreateRequest) -> api_pb2.AppGetOrCreateResponse:
    may_make = request.object_creation_type == api_pb2.OBJECT_CREATION_TYPE_CREATE_IF_MISSING
    find = call.world.apps.find_or_make if may_make else call.world.apps.find
    app = find(request.app_name, request.environment_name)
    handle = api_pb2.AppHandleMetadata(description=app.name, app_id=app.id, environment_name=app.environment)
    return api_pb2.AppGetOrCreateResponse(app_id=app.id, handle_metadata=handle)


@CONTROL.unary("AppStop")
async def stop_app(call: Call, request: api_pb2.AppStopRequest) -> Empty:
    call.world.apps.get(request.app_id)
    for sandbox in call.world.sandboxes.running():
        if sandbox.ask.app_id == request.app_id:
            call.world.sandboxes.terminate(sandbox.id)
    return Empty()
