"""Images: Modal's own base is recorded, and there at once; others and what is added are built."""

from __future__ import annotations

import asyncio
import codecs
import hashlib
import time
from typing import TYPE_CHECKING

from google.protobuf.empty_pb2 import Empty
from modal_proto import api_pb2

from trebuchet.emulator.rpc.packing import SUCCESS
from trebuchet.emulator.rpc.registry import CONTROL
from trebuchet.emulator.world.errors import NotServedError, WorldError
from trebuchet.emulator.world.ids import new_id
from trebuchet.emulator.world.stand_in import missing_from

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from trebuchet.emulator.rpc.call import Call
    from trebuchet.emulator.world.images import Image
    from trebuchet.emulator.world.world import World

LONGEST_NUMBER = 18
UNSERVED: dict[str, Callable[[api_pb2.Image], object]] = {
    "volumes": lambda asked: asked.volume_mounts,
    "GPUs": lambda asked: asked.gpu_config.gpu_type or asked.gpu_config.count,
}
"""What the commands of an image may be asked to have that the engine refuses, by name."""
LOG_PIECE = 32 << 10
"""Bytes of a build's output in one message."""


@CONTROL.unary("ImageGetOrCreate")
async def get_or_build(
    call: Call, request: api_pb2.ImageGetOrCreateRequest
) -> api_pb2.ImageGetOrCreateResponse:
    for what, is_asked in UNSERVED.items():
        if is_asked(request.image):
            raise NotServedError(f"The local engine does not build images with {what}.")
    image = call.world.images.find_or_build(
        request.image.SerializeToString(deterministic=True),
        commands=list(request.image.dockerfile_commands),
        bases=[base.image_id for base in request.image.base_images],
        builder_version=request.builder_version,
        context_mount_id=request.image.context_mount_id,
        context_files=_kept(call.world, request.image.context_files),
        build_args=dict(request.image.build_args),
        secret_ids=list(request.image.secret_ids),
        registry_secret_id=request.image.image_registry_config.secret_id,
        is_modals_own=request.namespace == api_pb2.DEPLOYMENT_NAMESPACE_GLOBAL,
    )
    if call.world.builds.has_own_files(image.id):
        call.world.builds.begin(image.id, anew=request.force_build)
    # Whoever is given a result asks for no log, and would not hear what is missing.
    result = None if _missing(image) else _result(call.world, image.id)
    return api_pb2.ImageGetOrCreateResponse(
        image_id=image.id, result=result, metadata=_metadata(image.builder_version)
    )


def _missing(image: Image) -> str:
    return missing_from(image.commands) if image.is_modals_own else ""


def _kept(world: World, files: Iterable[api_pb2.ImageContextFile]) -> dict[str, str]:
    """Keep the files that came with a definition: their digests by name."""
    known: dict[str, str] = {}
    for file in files:
        known[file.filename] = hashlib.sha256(file.data).hexdigest()
        if not world.content.has(known[file.filename]):
            world.content.put(known[file.filename], file.data)
    return known


@CONTROL.streaming("ImageJoinStreaming")
async def join(
    call: Call, request: api_pb2.ImageJoinStreamingRequest
) -> AsyncIterator[api_pb2.ImageJoinStreamingResponse]:
    """An entry's id is where the next begins."""
    image = call.world.images.get(request.image_id)
    builds = call.world.builds
    if _result(call.world, image.id) is None:
        builds.begin(image.id)  # if an earlier daemon did not come to its end
    deadline = time.monotonic() + request.timeout
    told = request.last_entry_id
    offset = int(told) if told.isdecimal() and len(told) <= LONGEST_NUMBER else 0
    if not told and (missing := _missing(image)):
        yield api_pb2.ImageJoinStreamingResponse(task_logs=[api_pb2.TaskLogs(data=missing)], entry_id="0")
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    while True:
        result = _result(call.world, image.id)  # before reading: what is printed until then is told
        data = await asyncio.to_thread(builds.read_log, image.id, offset, LOG_PIECE)
        if data:
            offset += len(data)
            yield api_pb2.ImageJoinStreamingResponse(
                task_logs=[api_pb2.TaskLogs(data=decoder.decode(data))], entry_id=str(offset)
            )
        elif result is not None:
            yield api_pb2.ImageJoinStreamingResponse(
                result=result, eof=True, metadata=_metadata(image.builder_version)
            )
            return
        elif time.monotonic() >= deadline:
            return
        else:
            await builds.wait(image.id, deadline - time.monotonic())


@CONTROL.unary("SandboxSnapshotFs")
async def snapshot(
    call: Call, request: api_pb2.SandboxSnapshotFsRequest
) -> api_pb2.SandboxSnapshotFsResponse:
    """How earlier SDKs ask for a snapshot."""
    sandbox = call.world.sandboxes.get(request.sandbox_id)
    await sandbox.settled.wait()
    image_id = await call.world.snapshots.take(sandbox, call.idempotency_key or new_id("snapshot"), 0)
    return api_pb2.SandboxSnapshotFsResponse(image_id=image_id, result=SUCCESS)


def _result(world: World, image_id: str) -> api_pb2.GenericResult | None:
    """How a build ended; None, so that the field stays unset, while it has not."""
    if not world.builds.has_own_files(image_id):
        return _recorded(world, image_id)
    built = world.builds.result(image_id)
    if built is None:
        return None
    if not built.failure:
        return SUCCESS
    return _failure(built.failure)


def _recorded(world: World, image_id: str) -> api_pb2.GenericResult:
    """How it ends that nothing is built, and all commands are understood."""
    try:
        world.images.manner(image_id)
    except WorldError as error:
        return _failure(str(error))
    return SUCCESS


def _failure(why: str) -> api_pb2.GenericResult:
    return api_pb2.GenericResult(status=api_pb2.GenericResult.GENERIC_STATUS_FAILURE, exception=why)


@CONTROL.unary("ImageFromId")
async def from_id(call: Call, request: api_pb2.ImageFromIdRequest) -> api_pb2.ImageFromIdResponse:
    image = call.world.images.get(request.image_id)
    return api_pb2.ImageFromIdResponse(image_id=image.id, metadata=_metadata(image.builder_version))


@CONTROL.unary("ImagePublish")
async def publish(call: Call, request: api_pb2.ImagePublishRequest) -> api_pb2.ImagePublishResponse:
    name, environment = _parse_name(call, request.tag, request.environment_name)
    call.world.image_names.publish(name, environment, call.world.images.get(request.image_id).id)
    return api_pb2.ImagePublishResponse()


@CONTROL.unary("ImageGetByTag")
async def find(call: Call, request: api_pb2.ImageGetByTagRequest) -> api_pb2.ImageGetByTagResponse:
    name, environment = _parse_name(call, request.tag, request.environment_name)
    image = call.world.images.get(call.world.image_names.find(name, environment))
    return api_pb2.ImageGetByTagResponse(image_id=image.id)


def _parse_name(call: Call, tag: str, environment_name: str) -> tuple[str, str]:
    """`name:tag`, and the environment: the Python SDK puts it before the name, others say it apart."""
    prefix, _, name = tag.rpartition("/")
    return name, call.environment(prefix or environment_name)


@CONTROL.unary("ImageDelete")
async def delete(call: Call, request: api_pb2.ImageDeleteRequest) -> Empty:
    call.world.images.delete(request.image_id)
    return Empty()


def _metadata(builder_version: str) -> api_pb2.ImageMetadata:
    return api_pb2.ImageMetadata(image_builder_version=builder_version)
