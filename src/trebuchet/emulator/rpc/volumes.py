"""Volumes, of both versions: they differ in how files are put, and not in what they are."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
from typing import TYPE_CHECKING

from google.protobuf.empty_pb2 import Empty
from modal_proto import api_pb2

from trebuchet.emulator.rpc.registry import CONTROL
from trebuchet.emulator.world.errors import InvalidError
from trebuchet.emulator.world.volume_files import PutFile

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trebuchet.emulator.rpc.call import Call
    from trebuchet.emulator.world.volume_files import VolumeEntry
    from trebuchet.emulator.world.volumes import Volume

    ListRequest = api_pb2.VolumeListFilesRequest | api_pb2.VolumeListFiles2Request
    RemoveRequest = api_pb2.VolumeRemoveFileRequest | api_pb2.VolumeRemoveFile2Request
    CopyRequest = api_pb2.VolumeCopyFilesRequest | api_pb2.VolumeCopyFiles2Request

BLOCK = 8 * 1024 * 1024
"""The SDK cuts files into blocks of this size, and reads them so."""
MOST_BLOCKS = 1 << 17
"""Each block has an address of its own in the answer: a file of nothing but a hole may have any number."""
ENTRIES_A_MESSAGE = 200
KINDS = {
    "file": api_pb2.FileEntry.FILE,
    "directory": api_pb2.FileEntry.DIRECTORY,
    "symlink": api_pb2.FileEntry.SYMLINK,
    "fifo": api_pb2.FileEntry.FIFO,
    "socket": api_pb2.FileEntry.SOCKET,
    "device": api_pb2.FileEntry.UNSPECIFIED,
}
NAMELESS = {api_pb2.OBJECT_CREATION_TYPE_ANONYMOUS_OWNED_BY_APP, api_pb2.OBJECT_CREATION_TYPE_EPHEMERAL}


@CONTROL.unary("VolumeGetOrCreate")
async def get_or_create(
    call: Call, request: api_pb2.VolumeGetOrCreateRequest
) -> api_pb2.VolumeGetOrCreateResponse:
    async def work() -> Volume:
        return _get_or_create(call, request)

    volume = await call.once(work)
    return api_pb2.VolumeGetOrCreateResponse(
        volume_id=volume.id, version=_version(volume), metadata=_metadata(volume)
    )


def _get_or_create(call: Call, request: api_pb2.VolumeGetOrCreateRequest) -> Volume:
    volumes, kind = call.world.volumes, request.object_creation_type
    name, environment = request.deployment_name, call.environment(request.environment_name)
    if kind in NAMELESS:
        return volumes.make("", environment, request.version)
    if kind == api_pb2.OBJECT_CREATION_TYPE_CREATE_FAIL_IF_EXISTS:
        return volumes.make(name, environment, request.version)
    if kind == api_pb2.OBJECT_CREATION_TYPE_CREATE_IF_MISSING and not volumes.exists(name, environment):
        return volumes.make(name, environment, request.version)
    return volumes.find(name, environment)


@CONTROL.unary("VolumeGetById")
async def get_by_id(call: Call, request: api_pb2.VolumeGetByIdRequest) -> api_pb2.VolumeGetByIdResponse:
    volume = call.world.volumes.get(request.volume_id)
    return api_pb2.VolumeGetByIdResponse(volume_id=volume.id, metadata=_metadata(volume))


@CONTROL.unary("VolumeHeartbeat")
async def keep_alive(call: Call, request: api_pb2.VolumeHeartbeatRequest) -> Empty:
    call.world.volumes.get(request.volume_id)
    return Empty()


@CONTROL.unary("VolumeReload")
async def reload(call: Call, request: api_pb2.VolumeReloadRequest) -> Empty:
    call.world.volumes.get(request.volume_id)  # a sandbox sees the folder itself: there is nothing to fetch
    return Empty()


@CONTROL.unary("VolumeCommit")
async def commit(call: Call, request: api_pb2.VolumeCommitRequest) -> api_pb2.VolumeCommitResponse:
    call.world.volumes.get(request.volume_id)  # likewise: there is nothing to send
    return api_pb2.VolumeCommitResponse(skip_reload=True)


@CONTROL.unary("VolumeRename")
async def rename(call: Call, request: api_pb2.VolumeRenameRequest) -> Empty:
    call.world.volumes.rename(request.volume_id, request.name)
    return Empty()


@CONTROL.unary("VolumeDelete")
async def delete(call: Call, request: api_pb2.VolumeDeleteRequest) -> Empty:
    if not call.world.views.can_lose_volumes:
        call.world.sandboxes.check_volume_unused(request.volume_id)
    await asyncio.to_thread(call.world.volumes.delete, request.volume_id)
    return Empty()


@CONTROL.unary("VolumeList")
async def list_named(call: Call, request: api_pb2.VolumeListRequest) -> api_pb2.VolumeListResponse:
    environment = call.environment(request.environment_name)
    before, most = request.pagination.created_before or float("inf"), request.pagination.max_objects or None
    found = [volume for volume in call.world.volumes.named(environment) if volume.created_at < before]
    items = [
        api_pb2.VolumeListItem(
            label=volume.name, volume_id=volume.id, created_at=volume.created_at, metadata=_metadata(volume)
        )
        for volume in found[:most]
    ]
    return api_pb2.VolumeListResponse(items=items, environment_name=environment)


@CONTROL.unary("VolumePutFiles")
async def put_files_v1(call: Call, request: api_pb2.VolumePutFilesRequest) -> Empty:
    files: list[PutFile] = []
    for file in request.files:
        content = call.world.content.need(file.sha256_hex)
        size = content.stat().st_size
        files.append(PutFile(path=file.filename, pieces=[(0, content)], size=size, mode=file.mode & 0o7777))
    overwrite = not request.disallow_overwrite_existing_files
    await asyncio.to_thread(call.world.volumes.files(request.volume_id).put, files, overwrite=overwrite)
    return Empty()


@CONTROL.unary("VolumePutFiles2")
async def put_files_v2(
    call: Call, request: api_pb2.VolumePutFiles2Request
) -> api_pb2.VolumePutFiles2Response:
    call.world.volumes.get(request.volume_id)
    missing = _missing_blocks(call, request)
    if not missing:
        files = [_put_file(call, file) for file in request.files]
        overwrite = not request.disallow_overwrite_existing_files
        await asyncio.to_thread(call.world.volumes.files(request.volume_id).put, files, overwrite=overwrite)
    return api_pb2.VolumePutFiles2Response(missing_blocks=missing)


def _missing_blocks(
    call: Call, request: api_pb2.VolumePutFiles2Request
) -> list[api_pb2.VolumePutFiles2Response.MissingBlock]:
    missing: dict[bytes, api_pb2.VolumePutFiles2Response.MissingBlock] = {}
    for file_index, file in enumerate(request.files):
        for block_index, block in enumerate(file.blocks):
            digest = block.contents_sha256
            if digest not in missing and not call.world.content.has(digest.hex()):
                url = f"{call.site.url}/block/{call.site.tokens.seal(digest.hex())}"
                missing[digest] = api_pb2.VolumePutFiles2Response.MissingBlock(
                    file_index=file_index, block_index=block_index, put_url=url
                )
    return list(missing.values())


def _put_file(call: Call, file: api_pb2.VolumePutFiles2Request.File) -> PutFile:
    pieces = [
        (index * BLOCK, call.world.content.need(block.contents_sha256.hex()))
        for index, block in enumerate(file.blocks)
    ]
    return PutFile(path=file.path, pieces=pieces, size=file.size, mode=file.mode & 0o7777)


@CONTROL.unary("VolumeGetFile2")
async def get_file(call: Call, request: api_pb2.VolumeGetFile2Request) -> api_pb2.VolumeGetFile2Response:
    file = call.world.volumes.files(request.volume_id).open(request.path)
    size = os.fstat(file).st_size
    os.close(file)
    if request.start > size:
        raise InvalidError(f"{request.path!r} has {size} bytes alone.")
    length = min(request.len or size, size - request.start)
    if length > MOST_BLOCKS * BLOCK:
        raise InvalidError(f"{request.path!r} is too long to be got at once: ask for a part of it.")
    urls = [
        _stretch_url(call, request, start, end)
        for start, end in _blocks(request.start, request.start + length)
    ]
    return api_pb2.VolumeGetFile2Response(get_urls=urls, size=size, start=request.start, len=length)


def _blocks(start: int, end: int) -> list[tuple[int, int]]:
    cuts = [start, *range((start // BLOCK + 1) * BLOCK, end, BLOCK), end]
    return list(itertools.pairwise(cuts)) if end > start else []


def _stretch_url(call: Call, request: api_pb2.VolumeGetFile2Request, start: int, end: int) -> str:
    facts = [request.volume_id, request.path, start, end, request.client_pads_blocks]
    sealed = call.site.tokens.seal(json.dumps(facts))
    return f"{call.site.url}/file/{sealed}"


@CONTROL.streaming("VolumeListFiles")
async def list_files_v1(
    call: Call, request: api_pb2.VolumeListFilesRequest
) -> AsyncIterator[api_pb2.VolumeListFilesResponse]:
    async for entries in _list_files(call, request):
        yield api_pb2.VolumeListFilesResponse(entries=entries)


@CONTROL.streaming("VolumeListFiles2")
async def list_files_v2(
    call: Call, request: api_pb2.VolumeListFiles2Request
) -> AsyncIterator[api_pb2.VolumeListFiles2Response]:
    async for entries in _list_files(call, request):
        yield api_pb2.VolumeListFiles2Response(entries=entries)


async def _list_files(call: Call, request: ListRequest) -> AsyncIterator[list[api_pb2.FileEntry]]:
    most = request.max_entries or None
    found = itertools.islice(
        call.world.volumes.files(request.volume_id).entries(request.path, recursive=request.recursive), most
    )
    while batch := await asyncio.to_thread(lambda: list(itertools.islice(found, ENTRIES_A_MESSAGE))):
        yield [_pack_entry(entry) for entry in batch]


def _pack_entry(entry: VolumeEntry) -> api_pb2.FileEntry:
    modified_at = max(0, entry.modified_at)  # The field has no sign, and files may be older than the epoch.
    return api_pb2.FileEntry(path=entry.path, type=KINDS[entry.kind], size=entry.size, mtime=modified_at)


@CONTROL.unary("VolumeRemoveFile", "VolumeRemoveFile2")
async def remove_file(call: Call, request: RemoveRequest) -> Empty:
    files = call.world.volumes.files(request.volume_id)
    await asyncio.to_thread(files.remove, request.path, recursive=request.recursive)
    return Empty()


@CONTROL.unary("VolumeCopyFiles", "VolumeCopyFiles2")
async def copy_files(call: Call, request: CopyRequest) -> Empty:
    files = call.world.volumes.files(request.volume_id)
    await asyncio.to_thread(
        files.copy, list(request.src_paths), request.dst_path, recursive=request.recursive
    )
    return Empty()


def _version(volume: Volume) -> api_pb2.VolumeFsVersion.ValueType:
    return api_pb2.VOLUME_FS_VERSION_V2 if volume.version == 2 else api_pb2.VOLUME_FS_VERSION_V1


def _metadata(volume: Volume) -> api_pb2.VolumeMetadata:
    created = api_pb2.CreationInfo(created_at=volume.created_at)
    return api_pb2.VolumeMetadata(version=_version(volume), name=volume.name, creation_info=created)
