"""The command router: what is inside a running sandbox. Its calls name a task and carry a pass for it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from modal_proto import task_command_router_pb2 as sr

from trebuchet.emulator.process.log import STDERR, STDOUT
from trebuchet.emulator.rpc.asking import pty_variables, refuse_odd_words, unpack_pty
from trebuchet.emulator.rpc.registry import ROUTER
from trebuchet.emulator.world.errors import InvalidError, NotFoundError, NotServedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from trebuchet.emulator.process.spec import ProcessState
    from trebuchet.emulator.rpc.call import Call
    from trebuchet.emulator.world.sandbox import Sandbox

KILLED = 137
HELD_BACK_S = 0.5
NEVER_BEGAN = 127
"""What a shell says of a command that it cannot find."""
LARGEST_MESSAGE = 1 << 16
"""The SDK takes quadratic time over a message that has many lines."""


@ROUTER.streaming("SandboxStdioReadV2")
async def read_stdio(
    call: Call, request: sr.SandboxStdioReadV2Request
) -> AsyncIterator[sr.SandboxStdioReadV2Response]:
    sandbox = await started(call, request.task_id)
    if not sandbox.standing.admitted:
        return
    wanted_stdout = request.file_descriptor == sr.SANDBOX_STDIO_FILE_DESCRIPTOR_STDOUT
    async for offset, data in _bytes(
        call, sandbox.process, STDOUT if wanted_stdout else STDERR, request.offset
    ):
        yield sr.SandboxStdioReadV2Response(data=data, starting_offset=offset)


@ROUTER.unary("SandboxStdinWriteV2")
async def write_stdin(call: Call, request: sr.SandboxStdinWriteV2Request) -> sr.SandboxStdinWriteV2Response:
    sandbox = await started(call, request.task_id)
    sandbox.touch()
    await call.world.inputs.write_at(sandbox.process, request.offset, request.data, eof=request.eof)
    return sr.SandboxStdinWriteV2Response()


@ROUTER.unary("SandboxWaitUntilReady")
async def wait_until_ready(
    call: Call, request: sr.SandboxWaitUntilReadyTcrRequest
) -> sr.SandboxWaitUntilReadyTcrResponse:
    sandbox = _sandbox(call, request.task_id)
    ready_at = await call.world.upkeep.wait_until_ready(sandbox, request.timeout)
    return sr.SandboxWaitUntilReadyTcrResponse(ready_at=ready_at)


@ROUTER.unary("TaskExecStart")
async def start_exec(call: Call, request: sr.TaskExecStartRequest) -> sr.TaskExecStartResponse:
    if request.container_id:
        raise NotServedError("The local engine does not serve sidecars.")
    if not request.command_args:
        raise InvalidError("A command has at least one word.")
    refuse_odd_words([*request.command_args, request.workdir])
    env = call.world.secrets.values_of(request.secret_ids) | dict(request.env)
    for source in request.secret_sources:
        env |= (
            call.world.secrets.values_of([source.secret_id])
            if source.secret_id
            else dict(source.env.contents)
        )
    if request.pty_info.enabled:
        env = pty_variables(request.pty_info) | env
    sandbox = await started(call, request.task_id)
    await call.world.execs.start(
        sandbox,
        request.exec_id,
        list(request.command_args),
        env=env,
        workdir=request.workdir or None,
        timeout_s=request.timeout_secs or None,
        pty=unpack_pty(request.pty_info) if request.pty_info.enabled else None,
    )
    call.world.syncs.note(sandbox, call.world.execs.folder(sandbox, request.exec_id), request.command_args)
    return sr.TaskExecStartResponse()


@ROUTER.streaming("TaskExecStdioRead")
async def read_exec_stdio(
    call: Call, request: sr.TaskExecStdioReadRequest
) -> AsyncIterator[sr.TaskExecStdioReadResponse]:
    folder = _exec(call, request)
    wanted_stdout = request.file_descriptor == sr.TASK_EXEC_STDIO_FILE_DESCRIPTOR_STDOUT
    async for _, data in _bytes(call, folder, STDOUT if wanted_stdout else STDERR, request.offset):
        yield sr.TaskExecStdioReadResponse(data=data)
    await call.world.syncs.done(folder)
    state = call.world.host.state(folder)
    if state.cause == "start_failed" and not wanted_stdout and not request.offset:
        yield sr.TaskExecStdioReadResponse(data=f"{state.message}\n".encode())


@ROUTER.unary("TaskExecStdinWrite")
async def write_exec_stdin(
    call: Call, request: sr.TaskExecStdinWriteRequest
) -> sr.TaskExecStdinWriteResponse:
    await call.world.inputs.write_at(_exec(call, request), request.offset, request.data, eof=request.eof)
    return sr.TaskExecStdinWriteResponse()


@ROUTER.feeding("TaskExecStdinWriteStream")
async def stream_exec_stdin(
    call: Call, requests: AsyncIterator[sr.TaskExecStdinWriteStreamRequest]
) -> sr.TaskExecStdinWriteStreamResponse:
    folder, offset = None, 0
    async for request in requests:
        match request.WhichOneof("payload"):
            case "start":
                folder, offset = _exec(call, request.start), request.start.offset
            case "data" if folder is not None:
                await call.world.inputs.write_at(folder, offset, request.data, eof=False)
                offset += len(request.data)
            case "end" if folder is not None:
                await call.world.inputs.write_at(folder, offset, b"", eof=True)
            case _:
                raise InvalidError("A stream of input begins by saying whose it is.")
    return sr.TaskExecStdinWriteStreamResponse()


@ROUTER.unary("TaskExecStdinStatus")
async def tell_exec_stdin(
    call: Call, request: sr.TaskExecStdinStatusRequest
) -> sr.TaskExecStdinStatusResponse:
    folder = _exec(call, request)
    running = call.world.host.state(folder).phase in {"starting", "running"}
    return sr.TaskExecStdinStatusResponse(
        num_bytes_written=call.world.inputs.written(folder), closed=not running
    )


@ROUTER.unary("TaskExecWait")
async def wait_exec(call: Call, request: sr.TaskExecWaitRequest) -> sr.TaskExecWaitResponse:
    folder = _exec(call, request)
    state = await call.world.host.wait_end(folder)
    call.world.inputs.forget(folder)
    await call.world.syncs.done(folder)
    await asyncio.sleep(_held_back_s(state))
    return sr.TaskExecWaitResponse(code=_exit_code(state))


@ROUTER.unary("TaskExecPoll")
async def poll_exec(call: Call, request: sr.TaskExecPollRequest) -> sr.TaskExecPollResponse:
    folder = _exec(call, request)
    state = call.world.host.state(folder)
    if state.phase in {"starting", "running"} or _held_back_s(state):
        return sr.TaskExecPollResponse()
    await call.world.syncs.done(folder)
    return sr.TaskExecPollResponse(code=_exit_code(state))


async def _bytes(call: Call, folder: Path, stream: int, start: int) -> AsyncIterator[tuple[int, bytes]]:
    """A stream's bytes from an offset on, in messages of a good size, each with its own offset."""
    seen = 0
    async for records, _ in call.world.host.follow(folder):
        held = bytearray()
        for record in records:
            if record.stream != stream:
                continue
            held += record.data[max(start - seen, 0) :]
            seen += len(record.data)
            while len(held) >= LARGEST_MESSAGE:
                yield seen - len(held), bytes(held[:LARGEST_MESSAGE])
                del held[:LARGEST_MESSAGE]
        if held:
            yield seen - len(held), bytes(held)


def _held_back_s(state: ProcessState) -> float:
    """How long it is not yet said that a command has ended.

    The SDK for Python keeps time itself and says -1 of one that took too long, as on Modal. It began to count
    a little later than the engine, and so gets to be the first to say it.
    """
    if state.cause != "timeout" or state.ended_at is None:
        return 0.0
    return min(max(state.ended_at + HELD_BACK_S - time.time(), 0.0), HELD_BACK_S)


def _exit_code(state: ProcessState) -> int:
    if state.exit_code is not None:
        return state.exit_code
    return NEVER_BEGAN if state.cause == "start_failed" else KILLED


def _sandbox(call: Call, task_id: str) -> Sandbox:
    opens = call.site.tokens.subject_of(call.metadata.get("authorization", "").removeprefix("Bearer "))
    if opens != task_id:
        raise NotFoundError(f"There is no task {task_id!r} here.")
    return call.world.sandboxes.by_task(task_id)


async def started(call: Call, task_id: str) -> Sandbox:
    """The sandbox, once it has left the queue."""
    sandbox = _sandbox(call, task_id)
    await sandbox.settled.wait()
    return sandbox


def _exec(
    call: Call,
    request: sr.TaskExecStdioReadRequest
    | sr.TaskExecStdinWriteRequest
    | sr.TaskExecStdinWriteStreamStart
    | sr.TaskExecStdinStatusRequest
    | sr.TaskExecWaitRequest
    | sr.TaskExecPollRequest,
) -> Path:
    return call.world.execs.folder(_sandbox(call, request.task_id), request.exec_id)
