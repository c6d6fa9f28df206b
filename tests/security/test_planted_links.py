"""What a sandbox leaves behind for others, links above all: it leads nobody out of anywhere."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import modal
import pytest
from google.protobuf.message import Message
from grpclib import GRPCError, Status
from modal_proto import api_pb2
from wire import SERVICES, call, channel, drive, token

from trebuchet.emulator.process.isolation import find_bubblewrap

if TYPE_CHECKING:
    from pathlib import Path

    from support.engine import Engine

pytestmark = pytest.mark.skipif(find_bubblewrap() is None, reason="without bubblewrap nothing is kept apart")

CONTROL = next(iter(SERVICES))


def ask(engine: Engine, method: str, request: Message) -> bytes:
    async def body() -> bytes:
        async with channel(engine) as opened:
            return await call(opened, f"/{CONTROL}/{method}", request.SerializeToString(), token(engine))

    return drive(body)


def create(engine: Engine, *argv: str, **definition: object) -> modal.Sandbox:
    """A sandbox that no SDK would ask for."""
    made = api_pb2.Sandbox(entrypoint_args=argv, **definition)  # pyright: ignore[reportArgumentType]
    request = api_pb2.SandboxCreateV2Request(app_id=engine.app.app_id, definition=made)
    answer = api_pb2.SandboxCreateV2Response.FromString(ask(engine, "SandboxCreateV2", request))
    return engine.get(answer.sandbox_id)


def ended(sandbox: modal.Sandbox) -> tuple[int | None, str]:
    sandbox.wait(raise_on_termination=False)
    return sandbox.returncode, sandbox.stdout.read()


def mounted(volume: modal.Volume, path: str, sub_path: str = "") -> list[api_pb2.VolumeMount]:
    return [api_pb2.VolumeMount(volume_id=volume.object_id, mount_path=path, sub_path=sub_path)]


@pytest.fixture
def volume(engine: Engine) -> modal.Volume:
    name = f"v-{uuid.uuid4().hex[:8]}"
    return modal.Volume.from_name(name, create_if_missing=True, client=engine.client).hydrate()


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder of the host's that nothing may come to."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret").write_text("secret")
    return folder


def untouched(outside: Path) -> bool:
    return [path.name for path in outside.rglob("*")] == ["secret"] and (
        outside / "secret"
    ).read_text() == "secret"


@pytest.mark.parametrize("where", ["workdir", "mount"])
@pytest.mark.parametrize(
    "path",
    ["/x\0--bind\0{}\0/host", "/../oldroot{}/made", "/a/../../oldroot{}/made"],
    ids=["nul", "up", "in"],
)
def test_no_path_of_a_sandbox_leads_out_of_it(
    engine: Engine, volume: modal.Volume, outside: Path, where: str, path: str
) -> None:
    hostile = path.format(outside)
    definition = {"workdir": hostile} if where == "workdir" else {"volume_mounts": mounted(volume, hostile)}
    with pytest.raises(GRPCError) as refused:
        create(engine, "cat", "/host/secret", **definition)
    assert refused.value.status is Status.INVALID_ARGUMENT
    assert untouched(outside)


@pytest.mark.parametrize("place", ["/", "relative", ""])
def test_a_volume_has_a_place_of_its_own(engine: Engine, volume: modal.Volume, place: str) -> None:
    with pytest.raises(GRPCError) as refused:
        create(engine, "true", volume_mounts=mounted(volume, place))
    assert refused.value.status is Status.INVALID_ARGUMENT


def test_a_link_in_a_snapshot_leads_no_mount_and_no_work_dir_out(
    engine: Engine, volume: modal.Volume, outside: Path
) -> None:
    planting = engine.create("sleep", "60")
    links = f"mv /__modal /aside; ln -s /oldroot{outside} /__modal; ln -s /oldroot{outside} /data"
    assert planting.exec("sh", "-c", links).wait() == 0
    image_id = planting.snapshot_filesystem().object_id
    planting.terminate()

    there = {"image_id": image_id, "volume_mounts": mounted(volume, "/data/deep/er")}
    sandbox = create(
        engine, "sh", "-c", "pwd -P; echo kept > /data/deep/er/file", workdir="/data/work", **there
    )
    assert ended(sandbox) == (0, f"/oldroot{outside}/work\n")  # as the link leads in there
    assert untouched(outside)
    assert b"".join(volume.read_file("file")) == b"kept\n"


def test_a_link_in_a_volume_leads_no_work_dir_out(
    engine: Engine, volume: modal.Volume, outside: Path
) -> None:
    assert ended(
        create(engine, "ln", "-s", f"/oldroot{outside}", "/v/link", volume_mounts=mounted(volume, "/v"))
    )
    ended(create(engine, "true", workdir="/v/link/made", volume_mounts=mounted(volume, "/v")))
    assert untouched(outside)
    fresh = create(engine, "pwd", workdir="/v/new/deep", volume_mounts=mounted(volume, "/v"))
    assert ended(fresh) == (0, "/v/new/deep\n")
    assert {entry.path for entry in volume.listdir("/", recursive=True)} == {"link", "new", "new/deep"}
