"""From the world's words to the protocol's, where more than one handler needs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modal_proto import api_pb2

from trebuchet.emulator.world.sandbox import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from trebuchet.emulator.world.logs import LogEntry
    from trebuchet.emulator.world.sandbox import Result, Sandbox

IMAGE_BUILDER_VERSION = "2025.06"
"""One that every SDK of the supported range knows."""
STATUSES = {
    Outcome.SUCCESS: api_pb2.GenericResult.GENERIC_STATUS_SUCCESS,
    Outcome.FAILURE: api_pb2.GenericResult.GENERIC_STATUS_FAILURE,
    Outcome.TERMINATED: api_pb2.GenericResult.GENERIC_STATUS_TERMINATED,
    Outcome.TIMEOUT: api_pb2.GenericResult.GENERIC_STATUS_TIMEOUT,
    Outcome.IDLE: api_pb2.GenericResult.GENERIC_STATUS_IDLE_TIMEOUT,
    Outcome.OUT_OF_MEMORY: api_pb2.GenericResult.GENERIC_STATUS_KERNEL_OOM_KILL,
    Outcome.NOT_STARTED: api_pb2.GenericResult.GENERIC_STATUS_INIT_FAILURE,
    Outcome.LOST: api_pb2.GenericResult.GENERIC_STATUS_INTERNAL_FAILURE,
}
SUCCESS = api_pb2.GenericResult(status=api_pb2.GenericResult.GENERIC_STATUS_SUCCESS)


def pack_result(result: Result | None) -> api_pb2.GenericResult | None:
    """A sandbox's end; None, so that the field stays unset, while there is none."""
    if result is None:
        return None
    return api_pb2.GenericResult(
        status=STATUSES[result.outcome], exitcode=result.exit_code, exception=result.message
    )


def pack_handle(sandbox: Sandbox) -> api_pb2.SandboxHandleMetadata:
    """What the SDK keeps with a handle."""
    return api_pb2.SandboxHandleMetadata(
        app_id=sandbox.ask.app_id, result=pack_result(sandbox.standing.result)
    )


def pack_tags(tags: Mapping[str, str]) -> list[api_pb2.SandboxTag]:
    """Tags as a list."""
    return [api_pb2.SandboxTag(tag_name=name, tag_value=value) for name, value in tags.items()]


def unpack_tags(tags: Iterable[api_pb2.SandboxTag]) -> dict[str, str]:
    """Tags as a mapping."""
    return {tag.tag_name: tag.tag_value for tag in tags}


def pack_entry(entry: LogEntry) -> api_pb2.TaskLogs:
    """A piece of output."""
    return api_pb2.TaskLogs(
        data=entry.text,
        timestamp=entry.timestamp_ns / 1e9,
        timestamp_ns=entry.timestamp_ns,
        file_descriptor=api_pb2.FileDescriptor.ValueType(entry.stream),
    )
