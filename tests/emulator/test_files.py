"""Files that go into sandboxes and volumes, and come out again."""

from __future__ import annotations

import hashlib
import os
import uuid
from io import BytesIO
from typing import TYPE_CHECKING

import modal
import pytest
from modal.exception import AlreadyExistsError, ConflictError, InvalidError, NotFoundError

if TYPE_CHECKING:
    from pathlib import Path

    from support.engine import Engine

BLOCK = 8 * 1024 * 1024


def word() -> str:
    return uuid.uuid4().hex[:12]


@pytest.fixture(params=[1, 2], ids=["v1", "v2"])
def volume(request: pytest.FixtureRequest, engine: Engine) -> modal.Volume:
    made = modal.Volume.from_name(
        f"volume-{word()}", create_if_missing=True, version=request.param, client=engine.client
    )
    return made.hydrate()


def image_with(path: Path, target: str) -> modal.Image:
    image = modal.Image.debian_slim()
    return image.add_local_dir(path, target) if path.is_dir() else image.add_local_file(path, target)


# ── mounts ──


def test_a_local_file_shows_in_the_sandbox(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "run.sh").write_bytes(b"#!/bin/sh\necho \xc3\xa9 $0\r\n")
    (tmp_path / "run.sh").chmod(0o755)
    image = image_with(tmp_path / "run.sh", "/root/tools/run.sh")
    code, output = engine.run(
        "sh", "-c", "stat -c %a /root/tools/run.sh; sha256sum </root/tools/run.sh", image=image
    )
    digest = hashlib.sha256((tmp_path / "run.sh").read_bytes()).hexdigest()
    assert (code, output) == (0, f"755\n{digest}  -\n")


def test_a_local_folder_shows_in_the_sandbox(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "a b.txt").write_text("spaced")
    (tmp_path / "top").write_text("")
    (tmp_path / "link").symlink_to("deep/er/a b.txt")
    image = image_with(tmp_path, "/work/here")
    code, output = engine.run("sh", "-c", "cd /work/here; find . -type f | sort; cat link", image=image)
    assert (code, output) == (0, "./deep/er/a b.txt\n./link\n./top\nspaced")


def test_what_a_sandbox_does_to_its_files_stays_its_own(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("shared")
    image = image_with(tmp_path, "/work/here")
    spoil = (
        "echo spoilt > /work/here/data; chmod 777 /work/here/data; touch /work/here/new; cat /work/here/data"
    )
    assert engine.run("sh", "-c", spoil, image=image) == (0, "spoilt\n")
    assert engine.run("sh", "-c", "ls /work/here; cat /work/here/data", image=image) == (0, "data\nshared")
    assert (tmp_path / "data").read_text() == "shared"


def test_two_mounts_can_meet_in_one_folder(engine: Engine, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_text(name)
    image = image_with(tmp_path / "one", "/opt/both/one").add_local_file(tmp_path / "two", "/opt/both/two")
    assert engine.run("sh", "-c", "cat /opt/both/one /opt/both/two", image=image) == (0, "onetwo")


def test_the_same_content_is_sent_once(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(os.urandom(6 * 1024 * 1024))
    for name in ("/srv/first", "/srv/second"):
        engine.clear_calls()
        engine.run("true", image=image_with(tmp_path / "big", name))
    assert "MountPutFile" not in engine.calls()


def test_a_large_file_goes_through_the_blob_store(engine: Engine, tmp_path: Path) -> None:
    content = os.urandom(6 * 1024 * 1024)
    (tmp_path / "big").write_bytes(content)
    engine.clear_calls()
    _, output = engine.run("sha256sum", "/srv/big", image=image_with(tmp_path / "big", "/srv/big"))
    assert output.split()[0] == hashlib.sha256(content).hexdigest()
    assert engine.calls()["BlobCreate"] == 1


# ── volumes ──


def test_a_volume_is_found_by_its_name_alone(engine: Engine) -> None:
    name = f"volume-{word()}"
    with pytest.raises(NotFoundError):
        modal.Volume.from_name(name, client=engine.client).hydrate()
    made = modal.Volume.from_name(name, create_if_missing=True, client=engine.client).hydrate()
    assert modal.Volume.from_name(name, client=engine.client).hydrate().object_id == made.object_id
    assert name in [volume.name for volume in modal.Volume.objects.list(client=engine.client)]
    with pytest.raises(AlreadyExistsError):
        modal.Volume.objects.create(name, client=engine.client)
    modal.Volume.objects.delete(name, client=engine.client)
    with pytest.raises(NotFoundError):
        modal.Volume.from_name(name, client=engine.client).hydrate()


def test_a_volume_gets_another_name(engine: Engine) -> None:
    first, second, client = f"volume-{word()}", f"volume-{word()}", engine.client
    made = modal.Volume.from_name(first, create_if_missing=True, client=client).hydrate()
    modal.Volume.objects.create(second, client=client)
    with pytest.raises(AlreadyExistsError):
        modal.Volume.rename(first, second, client=client)
    for nothing in ("", "a/b", "x" * 65):
        with pytest.raises(InvalidError, match="no name for a volume"):
            modal.Volume.rename(first, nothing, client=client)
    third = f"volume-{word()}"
    modal.Volume.rename(first, third, client=client)
    assert modal.Volume.from_name(third, client=client).hydrate().object_id == made.object_id
    with pytest.raises(NotFoundError):
        modal.Volume.from_name(first, client=client).hydrate()


def test_an_ephemeral_volume_has_no_name(engine: Engine) -> None:
    before = {volume.name for volume in modal.Volume.objects.list(client=engine.client)}
    with modal.Volume.ephemeral(client=engine.client) as volume:
        with volume.batch_upload() as batch:
            batch.put_file(BytesIO(b"x"), "/file")
        assert engine.run("cat", "/mnt/v/file", volumes={"/mnt/v": volume.read_only()}) == (0, "x")
        assert {volume.name for volume in modal.Volume.objects.list(client=engine.client)} - before == set()


def test_volumes_are_listed_newest_first_and_so_many(engine: Engine) -> None:
    names = [f"volume-{word()}" for _ in range(3)]
    for name in names:
        modal.Volume.objects.create(name, client=engine.client)
    listed = modal.Volume.objects.list(client=engine.client, max_objects=3)
    assert [volume.name for volume in listed] == names[::-1]


@pytest.mark.parametrize("size", [0, 1, 5 * 1024 * 1024, BLOCK, 2 * BLOCK + 5])
def test_a_file_comes_back_as_it_went(volume: modal.Volume, size: int) -> None:
    content = os.urandom(size)
    with volume.batch_upload() as batch:
        batch.put_file(BytesIO(content), "/deep/er/file")
    assert b"".join(volume.read_file("/deep/er/file")) == content
    back = BytesIO()
    assert volume.read_file_into_fileobj("deep/er/file", back) == size
    assert back.getvalue() == content


def test_a_file_of_zeros_comes_back(volume: modal.Volume) -> None:
    content = b"x" + bytes(BLOCK + 100)
    with volume.batch_upload() as batch:
        batch.put_file(BytesIO(content), "/zeros")
    assert b"".join(volume.read_file("/zeros")) == content


def test_a_folder_is_put_listed_and_removed(volume: modal.Volume, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a").write_text("a")
    (tmp_path / "b").write_text("bb")
    with volume.batch_upload() as batch:
        batch.put_directory(tmp_path, "/put")
    sizes = {entry.path: entry.size for entry in volume.listdir("/put", recursive=True)}
    assert (sizes["put/sub/a"], sizes["put/b"]) == (1, 2)
    assert [entry.path for entry in volume.listdir("/")] == ["put"]
    with pytest.raises(InvalidError):
        volume.remove_file("/put")
    volume.remove_file("/put/b")
    with pytest.raises(FileNotFoundError):
        volume.remove_file("/put/b")
    with pytest.raises(FileNotFoundError):
        list(volume.read_file("/put/b"))
    volume.remove_file("/put", recursive=True)
    assert volume.listdir("/") == []


def test_a_file_is_not_overwritten_unless_forced(volume: modal.Volume) -> None:
    with volume.batch_upload() as batch:
        batch.put_file(BytesIO(b"old"), "/f")
    with pytest.raises(FileExistsError), volume.batch_upload() as batch:
        batch.put_file(BytesIO(b"new"), "/f")
    with volume.batch_upload(force=True) as batch:
        batch.put_file(BytesIO(b"new"), "/f")
    assert b"".join(volume.read_file("/f")) == b"new"


def test_files_are_copied_within_a_volume(volume: modal.Volume) -> None:
    with volume.batch_upload() as batch:
        batch.put_file(BytesIO(b"c"), "/from/c")
    volume.copy_files(["/from/c"], "/to/c")
    assert b"".join(volume.read_file("/to/c")) == b"c"


def test_sandboxes_share_a_volume_with_each_other_and_the_caller(
    engine: Engine, volume: modal.Volume
) -> None:
    with volume.batch_upload() as batch:
        batch.put_file(BytesIO(b"from outside"), "/in")
    code, output = engine.run("sh", "-c", "cat /vol/in; echo more > /vol/out", volumes={"/vol": volume})
    assert (code, output) == (0, "from outside")
    assert b"".join(volume.read_file("/out")) == b"more\n"
    assert engine.run("cat", "/vol/out", volumes={"/vol": volume}) == (0, "more\n")


def test_a_part_of_a_volume_can_be_mounted_and_read_only(engine: Engine, volume: modal.Volume) -> None:
    with volume.batch_upload() as batch:
        batch.put_file(BytesIO(b"part"), "/sub/part")
    part = volume.with_mount_options(sub_path="/sub", read_only=True)
    code, output = engine.run("sh", "-c", "ls /vol; touch /vol/x", volumes={"/vol": part})
    assert code != 0
    assert output == "part\n"


def test_a_link_out_of_a_volume_is_not_followed(engine: Engine, volume: modal.Volume) -> None:
    engine.run("sh", "-c", "ln -s /etc /vol/etc; ln -s /etc/passwd /vol/passwd", volumes={"/vol": volume})
    for path in ("/etc/passwd", "/passwd", "/../../../etc/passwd"):
        with pytest.raises((InvalidError, FileNotFoundError)):
            list(volume.read_file(path))
    with pytest.raises(InvalidError), volume.batch_upload() as batch:
        batch.put_file(BytesIO(b""), "/etc/of-a-volume")
    volume.remove_file("/etc")
    assert [entry.path for entry in volume.listdir("/")] == ["passwd"]


def test_a_volume_in_use_is_not_removed(engine: Engine, volume: modal.Volume) -> None:
    sandbox = engine.create("sleep", "60", volumes={"/vol": volume})
    with pytest.raises(ConflictError):
        modal.Volume.objects.delete(volume.name, client=engine.client)
    sandbox.terminate()  # from here on it is not in use, whether or not the end has come
    modal.Volume.objects.delete(volume.name, client=engine.client)
