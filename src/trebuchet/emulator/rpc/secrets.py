"""Secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.empty_pb2 import Empty
from modal_proto import api_pb2

from trebuchet.emulator.rpc.registry import CONTROL

if TYPE_CHECKING:
    from trebuchet.emulator.rpc.call import Call
    from trebuchet.emulator.world.secrets import Secret

NAMELESS = {api_pb2.OBJECT_CREATION_TYPE_ANONYMOUS_OWNED_BY_APP, api_pb2.OBJECT_CREATION_TYPE_EPHEMERAL}
UNCONDITIONAL = {
    api_pb2.OBJECT_CREATION_TYPE_CREATE_FAIL_IF_EXISTS,
    api_pb2.OBJECT_CREATION_TYPE_CREATE_OVERWRITE_IF_EXISTS,
}


@CONTROL.unary("SecretGetOrCreate")
async def get_or_create(
    call: Call, request: api_pb2.SecretGetOrCreateRequest
) -> api_pb2.SecretGetOrCreateResponse:
    async def work() -> Secret:
        return _get_or_create(call, request)

    secret = await call.once(work)
    return api_pb2.SecretGetOrCreateResponse(secret_id=secret.id, metadata=_metadata(secret))


def _get_or_create(call: Call, request: api_pb2.SecretGetOrCreateRequest) -> Secret:
    secrets, kind = call.world.secrets, request.object_creation_type
    name, environment = request.deployment_name, call.environment(request.environment_name)
    if kind in NAMELESS:
        return secrets.make_nameless(request.env_dict)
    if kind in UNCONDITIONAL:
        overwrite = kind == api_pb2.OBJECT_CREATION_TYPE_CREATE_OVERWRITE_IF_EXISTS
        return secrets.make(name, environment, request.env_dict, overwrite=overwrite)
    if kind == api_pb2.OBJECT_CREATION_TYPE_CREATE_IF_MISSING and not secrets.exists(name, environment):
        return secrets.make(name, environment, request.env_dict, overwrite=False)
    return secrets.find(name, environment, request.required_keys)


@CONTROL.unary("SecretGetInfo")
async def get_info(call: Call, request: api_pb2.SecretGetInfoRequest) -> api_pb2.SecretGetInfoResponse:
    return api_pb2.SecretGetInfoResponse(metadata=_metadata(call.world.secrets.get(request.secret_id)))


@CONTROL.unary("SecretUpdate")
async def update(call: Call, request: api_pb2.SecretUpdateRequest) -> Empty:
    call.world.secrets.update(request.secret_id, {change.key: change.value for change in request.updates})
    return Empty()


@CONTROL.unary("SecretDelete")
async def delete(call: Call, request: api_pb2.SecretDeleteRequest) -> Empty:
    call.world.secrets.delete(request.secret_id)
    return Empty()


@CONTROL.unary("SecretList")
async def list_named(call: Call, request: api_pb2.SecretListRequest) -> api_pb2.SecretListResponse:
    environment = call.environment(request.environment_name)
    before, most = request.pagination.created_before or float("inf"), request.pagination.max_objects or None
    found = [
        secret for secret in reversed(call.world.secrets.named(environment)) if secret.created_at < before
    ]
    items = [
        api_pb2.SecretListItem(
            label=secret.name,
            secret_id=secret.id,
            created_at=secret.created_at,
            environment_name=environment,
            metadata=_metadata(secret),
        )
        for secret in found[:most]
    ]
    return api_pb2.SecretListResponse(items=items, environment_name=environment)


def _metadata(secret: Secret) -> api_pb2.SecretMetadata:
    return api_pb2.SecretMetadata(
        name=secret.name,
        keys=list(secret.values),
        environment_name=secret.environment,
        creation_info=api_pb2.CreationInfo(created_at=secret.created_at),
    )
