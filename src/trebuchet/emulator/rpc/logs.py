"""What sandboxes printed: as a live stream (V1), and by time."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from google.protobuf.timestamp_pb2 import Timestamp
from modal_proto import api_pb2

from trebuchet.emulator.process.errors import NotRunningError
from trebuchet.emulator.rpc.packing import pack_entry
from trebuchet.emulator.rpc.registry import CONTROL
from trebuchet.emulator.world.errors import InvalidError
from trebuchet.emulator.world.logs import TextCutter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trebuchet.emulator.rpc.call import Call
    from trebuchet.emulator.world.logs import LogView
    from trebuchet.emulator.world.sandbox import Sandbox

LONGEST_STREAM_S = 55.0
BEGINNING = "0-0"
"""What the JavaScript SDK names as the last entry when it has seen none."""
NANOSECONDS = 1_000_000_000
LARGEST_OFFSET = 1 << 63


@CONTROL.unary("AppCountLogs")
async def count(call: Call, request: api_pb2.AppCountLogsRequest) -> api_pb2.AppCountLogsResponse:
    since, until = _stretch(request.since, request.until)
    view = _view(call, request)
    bucket_ns = max(request.bucket_secs, 1) * NANOSECONDS
    counted = await view.count(since, until, request.source or None, request.search_text, bucket_ns)
    buckets = [
        api_pb2.AppCountLogsResponse.LogBucket(
            bucket_start_at=_timestamp(start),
            stdout_logs=of_stream[api_pb2.FILE_DESCRIPTOR_STDOUT],
            stderr_logs=of_stream[api_pb2.FILE_DESCRIPTOR_STDERR],
            system_logs=of_stream[api_pb2.FILE_DESCRIPTOR_INFO],
        )
        for start, of_stream in sorted(counted.items())
    ]
    return api_pb2.AppCountLogsResponse(app_id=request.app_id, buckets=buckets)


@CONTROL.unary("AppFetchLogs")
async def fetch(call: Call, request: api_pb2.AppFetchLogsRequest) -> api_pb2.AppFetchLogsResponse:
    since, until = _stretch(request.since, request.until)
    view = _view(call, request)
    found = await view.latest(
        since, until, request.source or None, request.search_text, request.limit or 20_000
    )
    batch = api_pb2.TaskLogsBatch(task_id=request.task_id, items=[pack_entry(entry) for entry in found])
    return api_pb2.AppFetchLogsResponse(batches=[batch] if found else [])


@CONTROL.streaming("SandboxGetLogs")
async def stream(call: Call, request: api_pb2.SandboxGetLogsRequest) -> AsyncIterator[api_pb2.TaskLogsBatch]:
    sandbox = call.world.sandboxes.get(request.sandbox_id)
    offset, cutter = _unpack_cursor(request.last_entry_id)
    try:
        async with asyncio.timeout(request.timeout or LONGEST_STREAM_S):
            await sandbox.settled.wait()
            async for batch in _follow(call, sandbox, offset, cutter, request.file_descriptor):
                yield batch
    except TimeoutError:
        return
    except NotRunningError:
        pass  # it ended before it was ever started: nothing was printed
    yield api_pb2.TaskLogsBatch(eof=True, entry_id=request.last_entry_id)


async def _follow(
    call: Call, sandbox: Sandbox, offset: int, cutter: TextCutter, wanted: int
) -> AsyncIterator[api_pb2.TaskLogsBatch]:
    if not sandbox.standing.admitted:
        return
    async for records, after in call.world.host.follow(sandbox.process, offset):
        entries = [cutter.cut(record) for record in records if wanted in {0, record.stream}]
        items = [pack_entry(entry) for entry in entries if entry.text]
        if items:
            yield api_pb2.TaskLogsBatch(
                task_id=sandbox.task_id, items=items, entry_id=_pack_cursor(after, cutter)
            )
    rest = cutter.rest()
    if rest:
        item = api_pb2.TaskLogs(data=rest, file_descriptor=api_pb2.FileDescriptor.ValueType(wanted))
        yield api_pb2.TaskLogsBatch(task_id=sandbox.task_id, items=[item])


def _pack_cursor(offset: int, cutter: TextCutter) -> str:
    held = ",".join(f"{stream}={data.hex()}" for stream, data in cutter.pending.items())
    return f"{offset};{held}"


def _unpack_cursor(text: str) -> tuple[int, TextCutter]:
    offset, _, held = ("" if text == BEGINNING else text).partition(";")
    pairs = (pair.partition("=") for pair in held.split(",") if pair)
    try:
        pending = {int(stream): bytes.fromhex(data) for stream, _, data in pairs}
        return _offset(offset or "0"), TextCutter(pending)
    except (ValueError, KeyError):
        raise InvalidError("This is no entry id of the local engine's.") from None


def _offset(text: str) -> int:
    """Where in a file something begins, as a client says it."""
    number = int(text)
    if not 0 <= number < LARGEST_OFFSET:
        raise ValueError(f"there is no byte {number}")
    return number


def _view(call: Call, request: api_pb2.AppCountLogsRequest | api_pb2.AppFetchLogsRequest) -> LogView:
    sandboxes = call.world.sandboxes
    if request.task_id:
        sandbox = sandboxes.by_task(request.task_id)
    elif request.sandbox_id:
        sandbox = sandboxes.get(request.sandbox_id)
    else:
        raise InvalidError("The local engine keeps the logs of sandboxes alone: name one.")
    return call.world.logs.of(sandbox.process)


def _stretch(since: Timestamp, until: Timestamp) -> tuple[int, int]:
    try:
        return since.ToNanoseconds(), until.ToNanoseconds() or time.time_ns() + NANOSECONDS
    except ValueError:
        raise InvalidError("A moment is outside of what time there is.") from None


def _timestamp(nanoseconds: int) -> Timestamp:
    return Timestamp(seconds=nanoseconds // NANOSECONDS, nanos=nanoseconds % NANOSECONDS)
