"""Sandboxes, V1 and V2: making, watching, finding and ending them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from google.protobuf.empty_pb2 import Empty
from modal_proto import api_pb2

from trebuchet.emulator.loopback import LOOPBACK
from trebuchet.emulator.rpc.asking import inline_env, unpack_ask
from trebuchet.emulator.rpc.lookups import pack_task
from trebuchet.emulator.rpc.packing import pack_handle, pack_result, pack_tags, unpack_tags
from trebuchet.emulator.rpc.registry import CONTROL
from trebuchet.emulator.visits import Permit
from trebuchet.emulator.world.errors import ConflictError, InvalidError, NotFoundError, NotServedError
from trebuchet.emulator.world.ids import new_v1_sandbox_id, new_v2_sandbox_id, task_id_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from trebuchet.emulator.rpc.call import Call
    from trebuchet.emulator.world.sandbox import Sandbox

LONGEST_WAIT_S = 60.0
IN_VAIN = api_pb2.GenericResult.GENERIC_STATUS_TIMEOUT
CONNECT_PORT = 8080
"""Where a connect token leads that names no port."""
MOST_USER_METADATA = 512


@CONTROL.unary("SandboxCreate")
async def create_v1(call: Call, request: api_pb2.SandboxCreateRequest) -> api_pb2.SandboxCreateResponse:
    sandbox = await _create_once(call, request, new_v1_sandbox_id(), {})
    return api_pb2.SandboxCreateResponse(sandbox_id=sandbox.id, metadata=pack_handle(sandbox))


@CONTROL.unary("SandboxCreateV2")
async def create_v2(call: Call, request: api_pb2.SandboxCreateV2Request) -> api_pb2.SandboxCreateV2Response:
    env = inline_env(request)
    sandbox = await _create_once(call, request, new_v2_sandbox_id(), env)
    task_id = task_id_of(sandbox.id)
    return api_pb2.SandboxCreateV2Response(
        sandbox_id=sandbox.id,
        task_id=task_id,
        metadata=pack_handle(sandbox),
        command_router_access=api_pb2.CommandRouterAccess(
            url=call.router_url, jwt=call.site.tokens.make_pass(task_id)
        ),
    )


async def _create_once(
    call: Call,
    request: api_pb2.SandboxCreateRequest | api_pb2.SandboxCreateV2Request,
    sandbox_id: str,
    env: dict[str, str],
) -> Sandbox:
    lifecycle = call.world.lifecycle

    async def work() -> Sandbox:
        known = lifecycle.by_idempotency_key(call.idempotency_key)
        if known is not None:
            return known
        ask = unpack_ask(request, sandbox_id, lifecycle.clock.now(), call.idempotency_key)
        await call.world.builds.catch_up(ask.image_id)
        return lifecycle.create(ask, unpack_tags(request.tags), env)

    return await call.once(work)


@CONTROL.unary("SandboxGetTaskId", "SandboxGetTaskIdV2")
async def get_task_id(
    call: Call, request: api_pb2.SandboxGetTaskIdRequest
) -> api_pb2.SandboxGetTaskIdResponse:
    sandbox = call.world.sandboxes.get(request.sandbox_id)
    await _wait_for(sandbox.settled, request.timeout)
    return api_pb2.SandboxGetTaskIdResponse(
        task_id=sandbox.task_id or None, task_result=pack_result(sandbox.standing.result)
    )


@CONTROL.unary("SandboxWait", "SandboxWaitV2")
async def wait(call: Call, request: api_pb2.SandboxWaitRequest) -> api_pb2.SandboxWaitResponse:
    sandbox = call.world.sandboxes.get(request.sandbox_id)
    await _wait_for(sandbox.ended, request.timeout)
    return api_pb2.SandboxWaitResponse(
        result=pack_result(sandbox.standing.result), metadata=pack_handle(sandbox)
    )


async def _wait_for(event: asyncio.Event, seconds: float) -> None:
    if seconds > 0 and not event.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(event.wait(), min(seconds, LONGEST_WAIT_S))


@CONTROL.unary("SandboxTerminate", "SandboxTerminateV2")
async def terminate(call: Call, request: api_pb2.SandboxTerminateRequest) -> api_pb2.SandboxTerminateResponse:
    before = call.world.lifecycle.terminate(request.sandbox_id)
    return api_pb2.SandboxTerminateResponse(existing_result=pack_result(before))


@CONTROL.unary("SandboxGetTunnels", "SandboxGetTunnelsV2")
async def get_tunnels(
    call: Call, request: api_pb2.SandboxGetTunnelsRequest
) -> api_pb2.SandboxGetTunnelsResponse:
    # A sandbox shares this machine's network: its port is the tunnel, and nothing encrypts it, whatever the
    # caller asked for. As on Modal, only an unencrypted one has an address for those who want none.
    sandbox = call.world.sandboxes.get(request.sandbox_id)
    await _wait_for(sandbox.settled, request.timeout)
    if not sandbox.settled.is_set():
        return api_pb2.SandboxGetTunnelsResponse(result=api_pb2.GenericResult(status=IN_VAIN))
    await call.world.tunnels.check(sandbox)
    return api_pb2.SandboxGetTunnelsResponse(
        tunnels=[_tunnel(port, sandbox.ask.unencrypted_ports) for port in sandbox.ask.ports]
    )


def _tunnel(port: int, unencrypted: Collection[int]) -> api_pb2.TunnelData:
    tunnel = api_pb2.TunnelData(host=LOOPBACK, port=port, container_port=port)
    if port in unencrypted:
        tunnel.unencrypted_host, tunnel.unencrypted_port = LOOPBACK, port
    return tunnel


@CONTROL.unary("SandboxCreateConnectToken", "SandboxCreateConnectTokenV2")
async def create_connect_token(
    call: Call, request: api_pb2.SandboxCreateConnectTokenRequest
) -> api_pb2.SandboxCreateConnectTokenResponse:
    sandbox = call.world.sandboxes.get(request.sandbox_id)
    if sandbox.ended.is_set():
        raise ConflictError(f"Sandbox {sandbox.id} has ended.")
    if len(request.user_metadata) >= MOST_USER_METADATA or not request.user_metadata.isprintable():
        raise InvalidError(f"What is said of a visitor has less than {MOST_USER_METADATA} characters.")
    permit = Permit(sandbox.id, request.port or CONNECT_PORT, request.user_metadata)
    return api_pb2.SandboxCreateConnectTokenResponse(
        url=await call.site.visits.url(sandbox), token=permit.sealed(call.site.tokens)
    )


@CONTROL.unary("SandboxTagsGet", "SandboxTagsGetV2")
async def get_tags(call: Call, request: api_pb2.SandboxTagsGetRequest) -> api_pb2.SandboxTagsGetResponse:
    sandbox = call.world.sandboxes.get(request.sandbox_id)
    return api_pb2.SandboxTagsGetResponse(tags=pack_tags(sandbox.standing.tags))


@CONTROL.unary("SandboxTagsSet", "SandboxTagsSetV2")
async def set_tags(call: Call, request: api_pb2.SandboxTagsSetRequest) -> Empty:
    call.world.sandboxes.get(request.sandbox_id).now(tags=unpack_tags(request.tags))
    return Empty()


@CONTROL.unary("SandboxSetName")
async def set_name(call: Call, request: api_pb2.SandboxSetNameRequest) -> api_pb2.SandboxSetNameResponse:
    call.world.lifecycle.name(request.sandbox_id, request.name)
    return api_pb2.SandboxSetNameResponse()


@CONTROL.unary("SandboxGetFromName")
async def get_from_name_v1(
    call: Call, request: api_pb2.SandboxGetFromNameRequest
) -> api_pb2.SandboxGetFromNameResponse:
    return _get_from_name(call, request, v2=False)


@CONTROL.unary("SandboxGetFromNameV2")
async def get_from_name_v2(
    call: Call, request: api_pb2.SandboxGetFromNameRequest
) -> api_pb2.SandboxGetFromNameResponse:
    return _get_from_name(call, request, v2=True)


def _get_from_name(
    call: Call, request: api_pb2.SandboxGetFromNameRequest, *, v2: bool
) -> api_pb2.SandboxGetFromNameResponse:
    app = call.world.apps.find(request.app_name, call.environment(request.environment_name))
    finished = request.include_terminated
    sandbox = call.world.sandboxes.by_name(app.id, request.sandbox_name, include_finished=finished)
    if sandbox.is_v2 != v2:
        raise NotFoundError(f"No sandbox of app {app.name!r} has the name {request.sandbox_name!r} here.")
    return api_pb2.SandboxGetFromNameResponse(sandbox_id=sandbox.id, metadata=pack_handle(sandbox))


@CONTROL.unary("SandboxList", "SandboxListV2")
async def list_unfinished(call: Call, request: api_pb2.SandboxListRequest) -> api_pb2.SandboxListResponse:
    if request.include_finished:
        raise NotServedError("The local engine does not list finished sandboxes.")
    in_environment = (app.id for app in call.world.apps.within(call.environment(request.environment_name)))
    app_ids = frozenset({request.app_id} if request.app_id else in_environment)
    found = call.world.sandboxes.page(
        before=request.before_timestamp, app_ids=app_ids, tags=unpack_tags(request.tags)
    )
    return api_pb2.SandboxListResponse(sandboxes=[_info(sandbox) for sandbox in found])


def _info(sandbox: Sandbox) -> api_pb2.SandboxInfo:
    ask, standing = sandbox.ask, sandbox.standing
    return api_pb2.SandboxInfo(
        id=ask.id,
        created_at=ask.created_at,
        task_info=pack_task(sandbox),
        app_id=ask.app_id,
        tags=pack_tags(standing.tags),
        name=sandbox.name,
        image_id=ask.image_id,
        timeout_secs=int(ask.timeout_s or 0),
        metadata=pack_handle(sandbox),
    )


@CONTROL.unary("SandboxStdinWrite")
async def write_stdin(
    call: Call, request: api_pb2.SandboxStdinWriteRequest
) -> api_pb2.SandboxStdinWriteResponse:
    sandbox = call.world.sandboxes.get(request.sandbox_id)
    await sandbox.settled.wait()
    sandbox.touch()
    await call.world.inputs.write_next(sandbox.process, request.index, request.input, eof=request.eof)
    return api_pb2.SandboxStdinWriteResponse()


@CONTROL.unary("TaskGetCommandRouterAccess")
async def get_router_v1(
    call: Call, request: api_pb2.TaskGetCommandRouterAccessRequest
) -> api_pb2.TaskGetCommandRouterAccessResponse:
    sandbox = call.world.sandboxes.by_task(request.task_id)
    return api_pb2.TaskGetCommandRouterAccessResponse(
        url=call.router_url, jwt=call.site.tokens.make_pass(task_id_of(sandbox.id))
    )


@CONTROL.unary("SandboxGetCommandRouterAccess")
async def get_router_v2(
    call: Call, request: api_pb2.SandboxGetCommandRouterAccessRequest
) -> api_pb2.SandboxGetCommandRouterAccessResponse:
    sandboxes = call.world.sandboxes
    sandbox = sandboxes.by_task(request.task_id) if request.task_id else sandboxes.get(request.sandbox_id)
    return api_pb2.SandboxGetCommandRouterAccessResponse(
        url=call.router_url, jwt=call.site.tokens.make_pass(task_id_of(sandbox.id))
    )
