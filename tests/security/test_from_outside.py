"""What a client tries that has no token, or has one and sends what no SDK sends."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from grpclib import GRPCError, Status
from grpclib.exceptions import StreamTerminatedError
from modal_proto import api_pb2
from wire import SERVICES, call, channel, drive, token

from support.engine import wait_until
from trebuchet.emulator import rpc
from trebuchet.emulator.endpoint import log_path
from trebuchet.emulator.lobby import MOST_STRANGERS
from trebuchet.emulator.rpc.registry import CONTROL as CONTROL_CALLS
from trebuchet.emulator.rpc.registry import ROUTER as ROUTER_CALLS

if TYPE_CHECKING:
    from support.engine import Engine

CONTROL, ROUTER = SERVICES
PATHS = [f"/{name}/{method.name}" for name, service in SERVICES.items() for method in service.methods]
HOSTILE = [
    "../../token.json",
    "/etc/passwd",
    "..",
    ".",
    "a/../../b",
    "x\0y",
    "-" * 5000,
    "%2e%2e/x",
    "\u202e",
    "",
]


@pytest.mark.parametrize("wrong", ["none", "other", "blank", "half", "forged"])
def test_every_call_wants_the_token(engine: Engine, wrong: str) -> None:
    true = token(engine)
    metadata = {
        "none": {},
        "other": {
            "x-modal-token-id": "ak-1",
            "x-modal-token-secret": "as-1",
            "authorization": "Bearer x.y.z",
        },
        "blank": {"x-modal-token-id": " ", "x-modal-token-secret": " ", "authorization": "Bearer"},
        "half": {"x-modal-token-id": true["x-modal-token-id"], "authorization": "Bearer .."},
        "forged": true
        | {"x-modal-token-secret": true["x-modal-token-secret"][:-1], "authorization": "Bearer e30.e30.e30"},
    }[wrong]

    async def body() -> set[Status]:
        async with channel(engine) as opened:
            said = set()
            for path in PATHS:
                with pytest.raises(GRPCError) as refused:
                    await call(opened, path, b"", metadata)
                said.add(refused.value.status)
            return said

    assert drive(body) == {Status.UNAUTHENTICATED}


@pytest.mark.parametrize(
    "said",
    [
        b"GET /" + b"mark" * 10_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /mark HTTP/1.1\r\nmark mark: \0\r\n\r\n",
        b"mark\r\n\r\n",
        b"POST /mark HTTP/1.1\r\nContent-Length: mark\r\n\r\n",
        b"POST /_trebuchet/gpus HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nmark\r\n",
    ],
)
def test_nothing_that_a_stranger_sends_is_written_to_the_log(engine: Engine, said: bytes) -> None:
    host, _, port = engine.endpoint.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(said)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass
    log = log_path(engine.state).read_text(errors="replace")
    assert "mark" not in log
    assert "Traceback" not in log


def test_no_name_that_a_client_sends_leaves_the_state_directory(engine: Engine) -> None:
    outside = engine.state.parent
    before = sorted(outside.iterdir())
    requests = [
        ("SandboxWait", lambda name: api_pb2.SandboxWaitRequest(sandbox_id=name, timeout=0)),
        ("SandboxTerminate", lambda name: api_pb2.SandboxTerminateRequest(sandbox_id=name)),
        ("SandboxGetTaskId", lambda name: api_pb2.SandboxGetTaskIdRequest(sandbox_id=name)),
        ("AppFetchLogs", lambda name: api_pb2.AppFetchLogsRequest(sandbox_id=name)),
        ("AppFetchLogs", lambda name: api_pb2.AppFetchLogsRequest(task_id=name)),
        ("AppGetOrCreate", lambda name: api_pb2.AppGetOrCreateRequest(app_name=name, object_creation_type=1)),
        ("ImageFromId", lambda name: api_pb2.ImageFromIdRequest(image_id=name)),
        ("ImageDelete", lambda name: api_pb2.ImageDeleteRequest(image_id=name)),
        ("ImageJoinStreaming", lambda name: api_pb2.ImageJoinStreamingRequest(image_id=name)),
        (
            "VolumeGetOrCreate",
            lambda name: api_pb2.VolumeGetOrCreateRequest(deployment_name=name, object_creation_type=1),
        ),
        ("VolumeDelete", lambda name: api_pb2.VolumeDeleteRequest(volume_id=name)),
        ("VolumeGetFile2", lambda name: api_pb2.VolumeGetFile2Request(volume_id=name, path="x")),
        (
            "SecretGetOrCreate",
            lambda name: api_pb2.SecretGetOrCreateRequest(deployment_name=name, object_creation_type=1),
        ),
        ("SecretDelete", lambda name: api_pb2.SecretDeleteRequest(secret_id=name)),
        ("MountPutFile", lambda name: api_pb2.MountPutFileRequest(sha256_hex=name, data=b"hostile")),
        ("BlobGet", lambda name: api_pb2.BlobGetRequest(blob_id=name)),
        (
            "SandboxGetFromName",
            lambda name: api_pb2.SandboxGetFromNameRequest(
                app_name="tests", sandbox_name=name, include_terminated=True
            ),
        ),
        (
            "SandboxCreateV2",
            lambda name: api_pb2.SandboxCreateV2Request(
                app_id=engine.app.app_id,
                definition=api_pb2.Sandbox(image_id=name or "..", entrypoint_args=["true"]),
            ),
        ),
    ]

    async def body() -> set[Status]:
        said = set()
        async with channel(engine) as opened:
            for method, make in requests:
                for name in HOSTILE:
                    try:
                        await call(
                            opened, f"/{CONTROL}/{method}", make(name).SerializeToString(), token(engine)
                        )
                    except GRPCError as error:
                        said.add((method, error.status))
        return {one for one in said if one[1] in {Status.INTERNAL, Status.UNKNOWN}}

    assert drive(body) == set()
    assert sorted(outside.iterdir()) == before
    assert not [path for path in engine.state.rglob("*") if path.is_symlink() and path.parent == engine.state]


def test_no_path_in_a_volume_leaves_it(engine: Engine) -> None:
    secret = engine.state / "token.json"
    made = api_pb2.VolumeGetOrCreateRequest(deployment_name="hostile", object_creation_type=1)
    paths = ["../../token.json", "/../../../etc/passwd", "a/../../../token.json", str(secret), "..", "x\0y"]

    async def body() -> set[Status]:
        refusals = set()
        async with channel(engine) as opened:

            async def ask(method: str, request: object) -> bytes:
                return await call(opened, f"/{CONTROL}/{method}", request.SerializeToString(), token(engine))  # pyright: ignore

            volume = api_pb2.VolumeGetOrCreateResponse.FromString(
                await ask("VolumeGetOrCreate", made)
            ).volume_id
            for path in paths:
                for method, request in (
                    ("VolumeGetFile2", api_pb2.VolumeGetFile2Request(volume_id=volume, path=path)),
                    (
                        "VolumeRemoveFile",
                        api_pb2.VolumeRemoveFileRequest(volume_id=volume, path=path, recursive=True),
                    ),
                ):
                    try:
                        await ask(method, request)
                    except GRPCError as error:
                        refusals.add(error.status)
        return refusals

    assert not drive(body) & {Status.INTERNAL, Status.UNKNOWN}
    assert secret.exists()
    assert engine.run("true") == (0, "")


def test_what_is_not_served_says_so_by_name(engine: Engine) -> None:
    rpc.load()
    unserved = {
        f"/{service.descriptor.full_name}/{name}": name
        for service in (CONTROL_CALLS, ROUTER_CALLS)
        for name in service.descriptor.methods_by_name.keys() - service.methods.keys()
    }
    access = api_pb2.SandboxGetCommandRouterAccessRequest(sandbox_id=engine.create("sleep", "60").object_id)

    async def body() -> dict[str, tuple[Status, str]]:
        said = {}
        async with channel(engine) as opened:
            path = f"/{CONTROL}/SandboxGetCommandRouterAccess"
            answer = await call(opened, path, access.SerializeToString(), token(engine))
            jwt = api_pb2.SandboxGetCommandRouterAccessResponse.FromString(answer).jwt
            for path, name in unserved.items():
                with pytest.raises(GRPCError) as refused:
                    await call(opened, path, b"", token(engine) | {"authorization": f"Bearer {jwt}"})
                said[name] = refused.value.status, name in str(refused.value.message)
        return said

    page = (Path(__file__).parents[2] / "docs" / "local-engine-coverage.md").read_text()
    said = drive(body)
    assert len(said) > 200
    assert set(said.values()) == {(Status.UNIMPLEMENTED, True)}
    assert all(f"`{name}`" in page for name in said)


def test_garbage_does_not_stop_it(engine: Engine) -> None:
    chance = random.Random(7)

    async def body() -> None:
        nonlocal failed
        async with channel(engine) as opened:
            for path in PATHS:
                if path.endswith(("TaskExecStdinWriteStream", "AppStop")):
                    continue
                metadata = token(engine) | {"authorization": "Bearer x"}
                for garbage in (b"\xff" * 20, chance.randbytes(200), b"\x0a\xff\xff\xff\xff\x0f"):
                    try:
                        await asyncio.wait_for(call(opened, path, garbage, metadata), 2)
                    except GRPCError as error:
                        failed |= {path} if error.status in {Status.INTERNAL, Status.UNKNOWN} else set()
                    except (TimeoutError, ConnectionError, StreamTerminatedError):
                        continue  # waited for; or the connection was closed, not the engine

    failed: set[str] = set()
    drive(body)
    assert failed == set()
    host, _, port = engine.endpoint.url.removeprefix("http://").partition(":")
    for start in (b"", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HTTP/1.1\r\n"):
        with socket.create_connection((host, int(port))) as raw:
            raw.sendall(start + chance.randbytes(10_000))
    assert engine.run("echo", "alive") == (0, "alive\n")


def test_a_huge_message_does_not_stop_it(engine: Engine) -> None:
    huge = api_pb2.AppGetOrCreateRequest(app_name="x" * (96 << 20)).SerializeToString()

    async def body() -> None:
        async with channel(engine) as opened:
            with pytest.raises(GRPCError) as refused:
                await call(opened, f"/{CONTROL}/AppGetOrCreate", huge, token(engine))
            assert refused.value.status in {Status.INVALID_ARGUMENT, Status.RESOURCE_EXHAUSTED}

    drive(body)
    assert engine.run("echo", "alive") == (0, "alive\n")


def test_thousands_of_open_streams_do_not_stop_it(engine: Engine) -> None:
    sandbox = engine.create("sleep", "300")
    wait = api_pb2.SandboxWaitRequest(sandbox_id=sandbox.object_id, timeout=30).SerializeToString()

    def median_of_calls() -> float:
        took = []
        for _ in range(5):
            began = time.monotonic()
            engine.listed()
            took.append(time.monotonic() - began)
        return sorted(took)[2]

    engine.clear_calls()

    async def body() -> tuple[float, float]:
        idle = await asyncio.to_thread(median_of_calls)
        async with AsyncExitStack() as stack:
            path = f"/{CONTROL}/SandboxWait"
            waits = []
            for _ in range(25):  # a connection has at most 100 streams at a time
                opened = await stack.enter_async_context(channel(engine))
                waits += [asyncio.create_task(call(opened, path, wait, token(engine))) for _ in range(80)]
            await asyncio.to_thread(wait_until, lambda: engine.calls().get("SandboxWait", 0) >= 2000)
            busy = await asyncio.to_thread(median_of_calls)
            await asyncio.to_thread(sandbox.terminate)
            await asyncio.gather(*waits, return_exceptions=True)
        return idle, busy

    idle, busy = drive(body)
    print(f"a list takes {idle * 1000:.1f} ms, beside 2,000 streams {busy * 1000:.1f} ms")
    assert busy < 10 * idle + 0.5


def test_slow_and_silent_clients_do_not_slow_the_others(engine: Engine) -> None:
    host, _, port = engine.endpoint.url.removeprefix("http://").partition(":")
    halves = (b"", b"GE", b"GET /_trebuchet/health HT", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\xff\x01")

    def median_of_runs() -> float:
        took = []
        for _ in range(3):
            began = time.monotonic()
            assert engine.run("true") == (0, "")
            took.append(time.monotonic() - began)
        return sorted(took)[1]

    alone = median_of_runs()
    with ExitStack() as stack:
        for number in range(400):
            raw = stack.enter_context(socket.create_connection((host, int(port))))
            raw.sendall(halves[number % len(halves)])
        beside = median_of_runs()
    print(f"a sandbox takes {alone * 1000:.0f} ms, beside 400 slow clients {beside * 1000:.0f} ms")
    assert beside < 3 * alone + 0.5


def test_those_who_show_no_token_take_no_room(engine: Engine) -> None:
    """As many as would come from a sandbox, which shares the network: the daemon keeps a thousand of them."""
    host, _, port = engine.endpoint.url.removeprefix("http://").partition(":")
    greeting = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
    files = Path(f"/proc/{engine.endpoint.pid}/fd")
    before = len(list(files.iterdir()))
    with ExitStack() as stack:
        for number in range(3_000):
            raw = stack.enter_context(socket.create_connection((host, int(port)), timeout=20))
            raw.sendall(greeting if number % 2 else b"GET / HT")
        wait_until(lambda: len(list(files.iterdir())) < before + MOST_STRANGERS + 100)
        assert engine.run("echo", "alive") == (0, "alive\n")
