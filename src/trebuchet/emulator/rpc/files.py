"""Files of running sandboxes as a whole: snapshots, showing them in others, volumes. Calls of the router."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.empty_pb2 import Empty
from modal_proto import task_command_router_pb2 as sr

from trebuchet.emulator.rpc.registry import ROUTER
from trebuchet.emulator.rpc.router import started
from trebuchet.emulator.world.errors import InvalidError, NotFoundError, NotServedError

if TYPE_CHECKING:
    from trebuchet.emulator.rpc.call import Call
    from trebuchet.emulator.world.sandbox import Sandbox

    Request = (
        sr.TaskSnapshotFilesystemRequest
        | sr.TaskSnapshotDirectoryRequest
        | sr.TaskMountDirectoryRequest
        | sr.TaskUnmountDirectoryRequest
        | sr.TaskReloadVolumesRequest
    )


@ROUTER.unary("TaskSnapshotFilesystem")
async def take(call: Call, request: sr.TaskSnapshotFilesystemRequest) -> sr.TaskSnapshotFilesystemResponse:
    sandbox = await _sandbox(call, request)
    _refuse_key(request.customer_supplied_encryption_key)
    image_id = await call.world.snapshots.take(sandbox, request.snapshot_id, request.ttl_seconds)
    return sr.TaskSnapshotFilesystemResponse(image_id=image_id)


@ROUTER.unary("TaskSnapshotDirectory")
async def take_folder(
    call: Call, request: sr.TaskSnapshotDirectoryRequest
) -> sr.TaskSnapshotDirectoryResponse:
    sandbox = await _sandbox(call, request)
    _refuse_key(request.customer_supplied_encryption_key)
    image_id = await call.world.snapshots.take_folder(
        sandbox, _path(request.path), request.snapshot_id, request.ttl_seconds
    )
    return sr.TaskSnapshotDirectoryResponse(image_id=image_id)


@ROUTER.unary("TaskMountDirectory")
async def mount(call: Call, request: sr.TaskMountDirectoryRequest) -> Empty:
    sandbox = await _sandbox(call, request)
    _refuse_key(request.customer_supplied_encryption_key)
    await call.world.snapshots.mount(sandbox, _path(request.path), request.image_id)
    return Empty()


@ROUTER.unary("TaskUnmountDirectory")
async def unmount(call: Call, request: sr.TaskUnmountDirectoryRequest) -> Empty:
    await call.world.snapshots.unmount(await _sandbox(call, request), _path(request.path))
    return Empty()


@ROUTER.unary("TaskReloadVolumes")
async def reload_volumes(call: Call, request: sr.TaskReloadVolumesRequest) -> sr.TaskReloadVolumesResponse:
    sandbox = await _sandbox(call, request)
    if sandbox.ended.is_set():
        raise NotFoundError(f"Sandbox {sandbox.id} does not run.")
    await call.world.views.reload(sandbox)
    return sr.TaskReloadVolumesResponse()


async def _sandbox(call: Call, request: Request) -> Sandbox:
    if request.container_id:
        raise NotServedError("The local engine does not serve sidecars.")
    return await started(call, request.task_id)


def _path(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise InvalidError("A path is text.") from None


def _refuse_key(key: bytes) -> None:
    if key:
        raise NotServedError("The local engine does not serve encryption keys of customers.")
