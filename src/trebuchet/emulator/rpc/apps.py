"""Environments and the apps in them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from google.protobuf.empty_pb2 import Empty
from modal_proto import api_pb2

from trebuchet.emulator.rpc.logs import LONGEST_STREAM_S
from trebuchet.emulator.rpc.packing import IMAGE_BUILDER_VERSION
from trebuchet.emulator.rpc.registry import CONTROL
from trebuchet.emulator.world.environments import DEFAULT_ENVIRONMENT
from trebuchet.emulator.world.errors import NotFoundError, NotServedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trebuchet.emulator.rpc.call import Call
    from trebuchet.emulator.world.apps import App


@CONTROL.unary("EnvironmentGetOrCreate")
async def get_environment(
    call: Call, request: api_pb2.EnvironmentGetOrCreateRequest
) -> api_pb2.EnvironmentGetOrCreateResponse:
    may_make = request.object_creation_type == api_pb2.OBJECT_CREATION_TYPE_CREATE_IF_MISSING
    environments = call.world.environments
    found = (environments.find_or_make if may_make else environments.find)(request.deployment_name)
    settings = api_pb2.EnvironmentSettings(image_builder_version=IMAGE_BUILDER_VERSION)
    metadata = api_pb2.EnvironmentMetadata(name=found.name, settings=settings)
    return api_pb2.EnvironmentGetOrCreateResponse(environment_id=found.id, metadata=metadata)


@CONTROL.unary("EnvironmentCreate")
async def create_environment(call: Call, request: api_pb2.EnvironmentCreateRequest) -> Empty:
    call.world.environments.make(request.name)
    return Empty()


@CONTROL.unary("EnvironmentList")
async def list_environments(call: Call, _: Empty) -> api_pb2.EnvironmentListResponse:
    items = [
        api_pb2.EnvironmentListItem(
            name=found.name,
            environment_id=found.id,
            created_at=found.created_at,
            default=found.name == DEFAULT_ENVIRONMENT,
            image_builder_version=IMAGE_BUILDER_VERSION,
        )
        for found in call.world.environments.all()
    ]
    return api_pb2.EnvironmentListResponse(items=items)


@CONTROL.unary("EnvironmentDelete")
async def delete_environment(call: Call, request: api_pb2.EnvironmentDeleteRequest) -> Empty:
    """All that is in it goes before it, so that one who was cut off can ask again."""
    call.world.environments.check_removable(request.name)
    for app in call.world.apps.within(request.name):
        _end_sandboxes(call, app.id)
    while volumes := call.world.volumes.named(request.name):
        for volume in volumes:
            with suppress(NotFoundError):  # another who asks for the same was faster
                await asyncio.to_thread(call.world.volumes.delete, volume.id)
    # Nothing is waited for from here on, so that nothing comes to be in it any more.
    for app in call.world.apps.within(request.name):
        _end_sandboxes(call, app.id)
        call.world.apps.forget(app)
    for secret in call.world.secrets.named(request.name):
        call.world.secrets.delete(secret.id)
    call.world.environments.remove(request.name)
    return Empty()


@CONTROL.unary("AppGetOrCreate")
async def get_app(call: Call, request: api_pb2.AppGetOrCreateRequest) -> api_pb2.AppGetOrCreateResponse:
    may_make = request.object_creation_type == api_pb2.OBJECT_CREATION_TYPE_CREATE_IF_MISSING
    find = call.world.apps.find_or_make if may_make else call.world.apps.find
    app = find(request.app_name, call.environment(request.environment_name))
    handle = api_pb2.AppHandleMetadata(description=app.name, app_id=app.id, environment_name=app.environment)
    return api_pb2.AppGetOrCreateResponse(app_id=app.id, handle_metadata=handle)


@CONTROL.unary("AppList")
async def list_apps(call: Call, request: api_pb2.AppListRequest) -> api_pb2.AppListResponse:
    found = call.world.apps.within(call.environment(request.environment_name))
    return api_pb2.AppListResponse(apps=[_item(call, app) for app in found])


@CONTROL.unary("AppCreate")
async def create_app(call: Call, request: api_pb2.AppCreateRequest) -> api_pb2.AppCreateResponse:
    async def work() -> App:
        return call.world.apps.make_ephemeral(request.description, call.environment(request.environment_name))

    return api_pb2.AppCreateResponse(app_id=(await call.once(work)).id)


@CONTROL.unary("AppSetTags")
async def set_tags(call: Call, request: api_pb2.AppSetTagsRequest) -> Empty:
    call.world.apps.set_tags(request.app_id, request.tags)
    return Empty()


@CONTROL.unary("AppGetTags")
async def get_tags(call: Call, request: api_pb2.AppGetTagsRequest) -> api_pb2.AppGetTagsResponse:
    return api_pb2.AppGetTagsResponse(tags=call.world.apps.get(request.app_id).tags)


@CONTROL.unary("AppPublish")
async def publish_app(call: Call, request: api_pb2.AppPublishRequest) -> api_pb2.AppPublishResponse:
    call.world.apps.get(request.app_id)
    if request.function_ids or request.class_ids or request.app_state == api_pb2.APP_STATE_DEPLOYED:
        raise NotServedError("The local engine serves sandboxes: it does not run functions, nor deploy them.")
    return api_pb2.AppPublishResponse()


@CONTROL.unary("AppHeartbeat")
async def keep_app(call: Call, request: api_pb2.AppHeartbeatRequest) -> Empty:
    call.world.apps.get(request.app_id)
    return Empty()


@CONTROL.unary("AppClientDisconnect")
async def leave_app(call: Call, request: api_pb2.AppClientDisconnectRequest) -> Empty:
    """The program that made it ends, and with it what it left running."""
    app = call.world.apps.get(request.app_id)
    if app.ephemeral:
        _end_sandboxes(call, app.id)
        call.world.apps.forget(app)
    return Empty()


@CONTROL.streaming("AppGetLogs")
async def follow_app(call: Call, request: api_pb2.AppGetLogsRequest) -> AsyncIterator[api_pb2.TaskLogsBatch]:
    """What an app prints itself is nothing; who shows its output waits for its end."""
    with suppress(TimeoutError):
        await asyncio.wait_for(call.world.apps.wait_end(request.app_id), request.timeout or LONGEST_STREAM_S)
        yield api_pb2.TaskLogsBatch(app_done=True)


def _item(call: Call, app: App) -> api_pb2.AppListResponse.AppListItem:
    running = [sandbox for sandbox in call.world.sandboxes.running() if sandbox.ask.app_id == app.id]
    return api_pb2.AppListResponse.AppListItem(
        app_id=app.id,
        name="" if app.ephemeral else app.name,
        description=app.name,
        state=api_pb2.APP_STATE_EPHEMERAL if app.ephemeral else api_pb2.APP_STATE_DEPLOYED,
        created_at=app.created_at,
        n_running_tasks=len(running),
    )


@CONTROL.unary("AppStop")
async def stop_app(call: Call, request: api_pb2.AppStopRequest) -> Empty:
    call.world.apps.get(request.app_id)
    _end_sandboxes(call, request.app_id)
    return Empty()


def _end_sandboxes(call: Call, app_id: str) -> None:
    for sandbox in call.world.sandboxes.running():
        if sandbox.ask.app_id == app_id:
            call.world.lifecycle.terminate(sandbox.id)
