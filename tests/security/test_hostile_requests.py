"""Every call, with what no SDK sends: names that lead elsewhere, odd numbers, ids of other things."""

from __future__ import annotations

import asyncio
import random
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message_factory import GetMessageClass
from grpclib import GRPCError, Status
from grpclib.exceptions import StreamTerminatedError
from modal_proto import api_pb2
from wire import SERVICES, call, channel, drive, token

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor, MethodDescriptor
    from google.protobuf.message import Message

    from support.engine import Engine

ROUNDS = (pytest.param(range(3), id="sample"), pytest.param(range(25), id="all", marks=pytest.mark.proof))
NOT_TRIED = {
    "TaskExecStdinWriteStream",  # asked piece by piece
    # These end what the others are tried on.
    *(
        "AppStop",
        "EnvironmentDelete",
        "SandboxTerminate",
        "SandboxTerminateV2",
        "SecretDelete",
        "VolumeDelete",
    ),
}
WORDS = [
    *(
        "../../token.json",
        "/etc/passwd",
        "..",
        ".",
        "/",
        "a/../../b",
        "x\0y",
        "-" * 5000,
        "%2e%2e/x",
        "\u202e",
    ),
    *("", "main", "\ud7ff", "٣", "9" * 5000, "-1", "1;1=zz", "7=00", "0;9=00", "a" * 300, "x/" * 3000),
]
NUMBERS = {
    FieldDescriptor.CPPTYPE_INT32: (0, 1, -1, 2**31 - 1, -(2**31)),
    FieldDescriptor.CPPTYPE_INT64: (0, 1, -1, 2**63 - 1, -(2**63)),
    FieldDescriptor.CPPTYPE_UINT32: (0, 1, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 1, 2**64 - 1),
    FieldDescriptor.CPPTYPE_FLOAT: (0.0, 0.5, -1.0, float("inf"), float("nan")),
    FieldDescriptor.CPPTYPE_DOUBLE: (0.0, 0.5, -1.0, 1e308, float("inf"), float("nan")),
    FieldDescriptor.CPPTYPE_BOOL: (False, True),
}


class Hostility:
    """Makes messages of a kind, out of hostile words and the ids of things that are there."""

    def __init__(self, seed: int, ids: dict[str, str]) -> None:
        self._chance = random.Random(seed)
        self._ids = ids

    def message(self, kind: Descriptor, depth: int = 0) -> Message:
        made = GetMessageClass(kind)()
        for field in kind.fields:
            if self._chance.random() < (0.75 if depth < 4 else 0.0):
                self._fill(made, field, depth)
        return made

    def _fill(self, made: Message, field: FieldDescriptor, depth: int) -> None:
        if field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
            if field.message_type.GetOptions().map_entry:
                return
            inner = self.message(field.message_type, depth + 1)
            if field.is_repeated:
                getattr(made, field.name).append(inner)
            else:
                getattr(made, field.name).CopyFrom(inner)
        elif field.is_repeated:
            getattr(made, field.name).extend(self._value(field) for _ in range(self._chance.randrange(3)))
        else:
            setattr(made, field.name, self._value(field))

    def _value(self, field: FieldDescriptor) -> Any:
        if field.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
            return self._chance.choice(field.enum_type.values).number
        if field.cpp_type != FieldDescriptor.CPPTYPE_STRING:
            return self._chance.choice(NUMBERS[field.cpp_type])
        known = self._ids.get(field.name)
        if known and self._chance.random() < 0.8:
            word = known
        else:
            word = self._chance.choice([*WORDS, *self._ids.values()])
        return word.encode() if field.type == FieldDescriptor.TYPE_BYTES else word


@pytest.mark.timeout(300)
@pytest.mark.parametrize("rounds", ROUNDS)
def test_every_call_answers_whatever_it_is_asked(engine: Engine, rounds: range) -> None:
    sandbox = engine.create("sleep", "600")
    before = sorted(engine.state.parent.iterdir())
    log = engine.state / "daemon.log"
    logged = len(log.read_text())
    failed: dict[str, str] = {}

    async def attempt(opened: Any, path: str, message: Message, metadata: dict[str, str]) -> None:
        try:
            await asyncio.wait_for(call(opened, path, message.SerializeToString(), metadata), 3)
        except GRPCError as error:
            if error.status in {Status.INTERNAL, Status.UNKNOWN}:
                failed[path.rpartition("/")[2]] = f"{error.message} {message}"[:500]
        except (TimeoutError, StreamTerminatedError, ConnectionError, AssertionError):
            pass  # it waits for something, was closed early, or is a stream that had nothing to say

    async def body() -> None:
        ids = await learn_ids(engine, sandbox.object_id)
        access = api_pb2.SandboxGetCommandRouterAccessRequest(sandbox_id=sandbox.object_id)
        async with channel(engine) as opened:
            answer = await call(
                opened,
                f"/{next(iter(SERVICES))}/SandboxGetCommandRouterAccess",
                access.SerializeToString(),
                token(engine),
            )
            jwt = api_pb2.SandboxGetCommandRouterAccessResponse.FromString(answer).jwt
            metadata = token(engine) | {"authorization": f"Bearer {jwt}"}
            for turn in rounds:
                hostility = Hostility(turn, ids)
                await asyncio.gather(
                    *(
                        attempt(
                            opened,
                            f"/{service}/{method.name}",
                            hostility.message(method.input_type),
                            metadata,
                        )
                        for service, described in SERVICES.items()
                        for method in tried(described.methods)
                    )
                )

    drive(body, 240)
    assert failed == {}
    assert "Traceback" not in log.read_text()[logged:]
    assert sorted(engine.state.parent.iterdir()) == before
    assert engine.run("echo", "alive") == (0, "alive\n")


def tried(methods: list[MethodDescriptor]) -> list[MethodDescriptor]:
    return [method for method in methods if method.name not in NOT_TRIED]


async def learn_ids(engine: Engine, sandbox_id: str) -> dict[str, str]:
    """Ids of things that are there, by the name of the field that they go in."""
    control = next(iter(SERVICES))

    async def ask(opened: Any, method: str, request: Message, answer: Any) -> Any:
        content = await call(opened, f"/{control}/{method}", request.SerializeToString(), token(engine))
        return answer.FromString(content)

    name = f"h-{uuid.uuid4().hex[:8]}"
    async with channel(engine) as opened:
        volume = await ask(
            opened,
            "VolumeGetOrCreate",
            api_pb2.VolumeGetOrCreateRequest(deployment_name=name, object_creation_type=1),
            api_pb2.VolumeGetOrCreateResponse,
        )
        secret = await ask(
            opened,
            "SecretGetOrCreate",
            api_pb2.SecretGetOrCreateRequest(
                deployment_name=name, object_creation_type=1, env_dict={"A": "b"}
            ),
            api_pb2.SecretGetOrCreateResponse,
        )
        task = await ask(
            opened,
            "SandboxGetTaskIdV2",
            api_pb2.SandboxGetTaskIdRequest(sandbox_id=sandbox_id, timeout=10),
            api_pb2.SandboxGetTaskIdResponse,
        )
    return {
        "sandbox_id": sandbox_id,
        "task_id": task.task_id,
        "app_id": engine.app.app_id or "",
        "app_name": "tests",
        "volume_id": volume.volume_id,
        "secret_id": secret.secret_id,
        "secret_ids": secret.secret_id,
        "environment_name": "main",
    }
