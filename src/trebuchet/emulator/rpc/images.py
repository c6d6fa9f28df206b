"""Images: a build is recorded, and succeeds at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.empty_pb2 import Empty
from modal_proto import api_pb2

from trebuchet.emulator.rpc.packing import SUCCESS
from trebuchet.emulator.rpc.registry import CONTROL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trebuchet.emulator.rpc.call import Call


@CONTROL.unary("ImageGetOrCreate")
async def get_or_build(
    call: Call, request: api_pb2.ImageGetOrCreateRequest
) -> api_pb2.ImageGetOrCreateResponse:
    image = call.world.images.find_or_build(
        request.image.SerializeToString(deterministic=True),
        commands=list(request.image.dockerfile_commands),
        bases=[base.image_id for base in request.image.base_images],
        builder_version=request.builder_version,
        context_mount_id=request.image.context_mount_id,
        context_files=[file.filename for file in request.image.context_files],
    )
    return api_pb2.ImageGetOrCreateResponse(
        image_id=image.id, result=SUCCESS, metadata=_metadata(image.builder_version)
    )


@CONTROL.streaming("ImageJoinStreaming")
async def join(
    call: Call, request: api_pb2.ImageJoinStreamingRequest
) -> AsyncIterator[api_pb2.ImageJoinStreamingResponse]:
    image = call.world.images.get(request.image_id)
    yield api_pb2.ImageJoinStreamingResponse(
        result=SUCCESS, eof=True, metadata=_metadata(image.builder_version)
    )


@CONTROL.unary("ImageFromId")
async def from_id(call: Call, request: api_pb2.ImageFromIdRequest) -> api_pb2.ImageFromIdResponse:
    image = call.world.images.get(request.image_id)
    return api_pb2.ImageFromIdResponse(image_id=image.id, metadata=_metadata(image.builder_version))


@CONTROL.unary("ImageDelete")
async def delete(call: Call, request: api_pb2.ImageDeleteRequest) -> Empty:
    call.world.images.delete(request.image_id)
    return Empty()


def _metadata(builder_version: str) -> api_pb2.ImageMetadata:
    return api_pb2.ImageMetadata(image_builder_version=builder_version)
