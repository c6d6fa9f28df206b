"""What Modal's command line looks up before it does something: apps by name, and tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modal_proto import api_pb2

from trebuchet.emulator.rpc.packing import pack_result
from trebuchet.emulator.rpc.registry import CONTROL
from trebuchet.emulator.world.errors import NotFoundError

if TYPE_CHECKING:
    from trebuchet.emulator.rpc.call import Call
    from trebuchet.emulator.world.apps import App
    from trebuchet.emulator.world.sandbox import Sandbox


@CONTROL.unary("AppGetByDeploymentName")
async def find_app(
    call: Call, request: api_pb2.AppGetByDeploymentNameRequest
) -> api_pb2.AppGetByDeploymentNameResponse:
    """The caller says by itself that there is none: it gets no id then."""
    environment = call.environment(request.environment_name)
    try:
        app = call.world.apps.find(request.name, environment)
    except NotFoundError:
        return api_pb2.AppGetByDeploymentNameResponse(environment_name=environment)
    return api_pb2.AppGetByDeploymentNameResponse(
        app_id=app.id, environment_name=environment, lifecycle=_lifecycle(app)
    )


@CONTROL.unary("AppGetLifecycle")
async def get_lifecycle(
    call: Call, request: api_pb2.AppGetLifecycleRequest
) -> api_pb2.AppGetLifecycleResponse:
    return api_pb2.AppGetLifecycleResponse(lifecycle=_lifecycle(call.world.apps.get(request.app_id)))


def _lifecycle(app: App) -> api_pb2.AppLifecycle:
    state = api_pb2.APP_STATE_EPHEMERAL if app.ephemeral else api_pb2.APP_STATE_DEPLOYED
    return api_pb2.AppLifecycle(app_state=state, created_at=app.created_at)


@CONTROL.unary("TaskList")
async def list_tasks(call: Call, request: api_pb2.TaskListRequest) -> api_pb2.TaskListResponse:
    if request.app_id:
        apps = [call.world.apps.get(request.app_id)]
    else:
        apps = call.world.apps.within(call.environment(request.environment_name))
    names = {app.id: app.name for app in apps}
    tasks = [
        api_pb2.TaskStats(
            task_id=sandbox.task_id,
            app_id=sandbox.ask.app_id,
            app_description=names[sandbox.ask.app_id],
            started_at=sandbox.standing.started_at or 0.0,
            enqueued_at=sandbox.ask.created_at,
        )
        for sandbox in call.world.sandboxes.running()
        if sandbox.task_id and sandbox.ask.app_id in names
    ]
    return api_pb2.TaskListResponse(tasks=tasks)


@CONTROL.unary("TaskGetInfo")
async def get_task(call: Call, request: api_pb2.TaskGetInfoRequest) -> api_pb2.TaskGetInfoResponse:
    sandbox = call.world.sandboxes.by_task(request.task_id)
    return api_pb2.TaskGetInfoResponse(app_id=sandbox.ask.app_id, info=pack_task(sandbox))


@CONTROL.unary("ContainerStop")
async def stop_task(call: Call, request: api_pb2.ContainerStopRequest) -> api_pb2.ContainerStopResponse:
    call.world.lifecycle.terminate(call.world.sandboxes.by_task(request.task_id).id)
    return api_pb2.ContainerStopResponse()


def pack_task(sandbox: Sandbox) -> api_pb2.TaskInfo:
    """A sandbox's task."""
    ask, standing = sandbox.ask, sandbox.standing
    return api_pb2.TaskInfo(
        id=sandbox.task_id,
        enqueued_at=ask.created_at,
        started_at=standing.started_at or 0.0,
        finished_at=standing.ended_at or 0.0,
        result=pack_result(standing.result),
        sandbox_id=ask.id,
        gpu_config=api_pb2.GPUConfig(gpu_type=ask.gpu.type, count=ask.gpu.count),
    )
