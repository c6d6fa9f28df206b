"""Mounts and the uploads they are made of."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from google.protobuf.timestamp_pb2 import Timestamp
from modal_proto import api_pb2

from trebuchet.emulator.rpc.registry import CONTROL
from trebuchet.emulator.world.mounts import MountFile

if TYPE_CHECKING:
    from trebuchet.emulator.rpc.call import Call


@CONTROL.unary("MountBatchedCheckExistence")
async def check_existence(
    call: Call, request: api_pb2.MountBatchedCheckExistenceRequest
) -> api_pb2.MountBatchedCheckExistenceResponse:
    missing = [digest for digest in request.sha256_hex_hashes if not call.world.content.has(digest)]
    return api_pb2.MountBatchedCheckExistenceResponse(missing_sha256_hex_hashes=missing, checked_at=_now())


@CONTROL.unary("MountPutFile")
async def put_file(call: Call, request: api_pb2.MountPutFileRequest) -> api_pb2.MountPutFileResponse:
    content, digest = call.world.content, request.sha256_hex
    match request.WhichOneof("data_oneof"):
        case "data":
            await asyncio.to_thread(content.put, digest, request.data)
        case "data_blob_id":
            if not content.has(digest):
                await asyncio.to_thread(content.adopt, digest, call.world.blobs.path(request.data_blob_id))
                call.world.blobs.drop(request.data_blob_id)
        case _:
            pass  # it asks alone
    return api_pb2.MountPutFileResponse(exists=content.has(digest), checked_at=_now())


@CONTROL.unary("MountGetOrCreate")
async def get_or_create(
    call: Call, request: api_pb2.MountGetOrCreateRequest
) -> api_pb2.MountGetOrCreateResponse:
    if request.deployment_name and not request.files:
        mount_id = call.world.mounts.make_named(request.deployment_name)
    else:
        files = [
            MountFile(path=file.filename, digest=file.sha256_hex, mode=file.mode & 0o7777)
            for file in request.files
        ]
        mount_id = await asyncio.to_thread(call.world.mounts.make, files)
    handle = api_pb2.MountHandleMetadata(content_checksum_sha256_hex=mount_id.removeprefix("mo-"))
    return api_pb2.MountGetOrCreateResponse(mount_id=mount_id, handle_metadata=handle)


@CONTROL.unary("BlobCreate")
async def create_blob(call: Call, _: api_pb2.BlobCreateRequest) -> api_pb2.BlobCreateResponse:
    blob_id = call.world.blobs.new()
    url = f"{call.site.url}/blob/{call.site.tokens.seal(blob_id)}"
    return api_pb2.BlobCreateResponse(
        blob_id=blob_id, blob_ids=[blob_id], upload_urls=api_pb2.UploadUrlList(items=[url])
    )


@CONTROL.unary("BlobGet")
async def get_blob(call: Call, request: api_pb2.BlobGetRequest) -> api_pb2.BlobGetResponse:
    call.world.blobs.path(request.blob_id)
    return api_pb2.BlobGetResponse(
        download_url=f"{call.site.url}/blob/{call.site.tokens.seal(request.blob_id)}"
    )


def _now() -> Timestamp:
    moment = Timestamp()
    moment.GetCurrentTime()
    return moment
