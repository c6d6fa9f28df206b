"""What a sandbox leaves behind for others, links above all: it leads nobody out of anywhere."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from io import BytesIO
from typing import TYPE_CHECKING

import modal
import pytest
from google.protobuf.message import Message
from grpclib import GRPCError, Status
from modal_proto import api_pb2
from wire import SERVICES, call, channel, drive, token

from trebuchet.emulator.process.isolation import find_bubblewrap

if TYPE_CHECKING:
    from collections.abc import Callable
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
    return modal.Volume.from_name(name, create_if_missing=True, version=2, client=engine.client).hydrate()


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


# ── what callers do in a volume ──


def test_a_copy_goes_through_no_link(engine: Engine, volume: modal.Volume, outside: Path) -> None:
    script = """
        cd /v; echo evil > file; mkdir into folder; echo evil > folder/evil
        ln -s $0/secret into/file; ln -s $0 into/folder; ln -s $0/made into/other
        ln -s $0 away
    """
    planting = create(engine, "sh", "-c", script, str(outside), volume_mounts=mounted(volume, "/v"))
    assert ended(planting) == (0, "")
    volume.copy_files(["file"], "into")
    with pytest.raises(modal.exception.ConflictError):
        volume.copy_files(["folder"], "into", recursive=True)
    for target in ("away", "away/made", "into/other"):
        with pytest.raises(modal.exception.InvalidError):
            volume.copy_files(["file"], target)
    assert untouched(outside)
    assert b"".join(volume.read_file("into/file")) == b"evil\n"


SWAP = """
import os, shutil, sys
outside, turn = sys.argv[1], 0
os.chdir("/v")
while True:
    turn += 1
    try:
        os.mkdir("aside"), os.mkdir("aside/x")
        open("aside/secret", "w").write("inside")
    except OSError: pass
    try: os.rename("way", f"old{turn % 2}")
    except OSError: pass
    try: os.symlink(outside, "way") if turn % 2 else os.rename("aside", "way")
    except OSError: pass
    for old in ("old0", "old1"):
        try: os.unlink(old) if os.path.islink(old) else shutil.rmtree(old)
        except OSError: pass
"""


def test_no_link_that_is_swapped_in_meanwhile_leads_a_caller_out(
    engine: Engine, volume: modal.Volume, outside: Path
) -> None:
    swapping = create(engine, "python3", "-c", SWAP, str(outside), volume_mounts=mounted(volume, "/v"))
    seen: Counter[str] = Counter()

    def attempt(what: str, work: Callable[[], object]) -> None:
        try:
            answer = work()
        except (modal.exception.Error, FileNotFoundError) as error:
            seen[f"{what}: {type(error).__name__}"] += 1
        else:
            seen[f"{what}: {answer if isinstance(answer, bytes) else 'done'}"] += 1

    def put() -> None:
        with volume.batch_upload(force=True) as batch:
            batch.put_file(BytesIO(b"evil"), "/way/secret")
            batch.put_file(BytesIO(b"evil"), "/way/made/deep")

    until = time.monotonic() + 6
    while time.monotonic() < until:
        attempt("read", lambda: b"".join(volume.read_file("way/secret")))
        attempt("put", put)
        attempt("remove", lambda: volume.remove_file("way/secret"))
        attempt("copy", lambda: volume.copy_files(["way/secret"], "way/copied"))
    swapping.terminate()
    print(dict(seen))
    assert "read: b'secret'" not in seen
    assert seen["read: b'inside'"] > 0  # the way was there now and then
    assert untouched(outside)
