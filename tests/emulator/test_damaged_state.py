"""Small files of an engine's state that are damaged, or were written by a newer version."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import TYPE_CHECKING

import pytest
from modal.exception import NotFoundError

from trebuchet.emulator.disk import append_lines, keep_json, read_json, read_lines
from trebuchet.emulator.world.content import Content
from trebuchet.emulator.world.errors import NotFoundError as WorldNotFoundError
from trebuchet.emulator.world.mounts import MountFile, Mounts
from trebuchet.emulator.world.volumes import Volumes

if TYPE_CHECKING:
    from pathlib import Path

    from support.engine import Engine

CONTENT = b"content\n"
DIGEST = hashlib.sha256(CONTENT).hexdigest()
damages = pytest.mark.parametrize("damage", [b"", b"[]", b"{}", b"\0\0\0", b'{"id": '])


@damages
def test_a_damaged_record_is_set_aside_and_the_others_are_read(
    tmp_path: Path, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    volumes = Volumes(tmp_path)
    lost, kept = volumes.make("lost", "main", 1), volumes.make("kept", "main", 1)
    record = tmp_path / "records" / f"{lost.id}.json"
    record.write_bytes(damage)
    assert Volumes(tmp_path).all() == [kept]
    assert "cannot be read" in caplog.text
    [aside] = (tmp_path / "records").glob(f"{lost.id}.json.unreadable-*")
    assert aside.read_bytes() == damage
    assert not record.exists()


def test_a_record_of_a_newer_version_is_read_without_what_is_new(tmp_path: Path) -> None:
    volume = Volumes(tmp_path).make("newer", "main", 2)
    record = tmp_path / "records" / f"{volume.id}.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "colour": "red"}))
    assert Volumes(tmp_path).all() == [volume]


@pytest.mark.parametrize("port", ["", "x", "-1", "70000", "\0\0"])
def test_a_damaged_note_of_the_port_is_done_without(own_engine: Engine, port: str) -> None:
    own_engine.kill()
    (own_engine.state / "port").write_text(port)
    own_engine.start()
    assert int((own_engine.state / "port").read_text()) > 0


def test_a_daemon_starts_whatever_is_written_of_a_sandbox(own_engine: Engine) -> None:
    damaged, newer = own_engine.create("sleep", "300"), own_engine.create("sleep", "300")
    for sandbox in (damaged, newer):
        assert sandbox.exec("true").wait() == 0
    own_engine.kill()
    marker = own_engine.state / "alive" / damaged.object_id
    for path in (marker, own_engine.state / "sandboxes" / damaged.object_id / "journal"):
        path.write_text('{"id": 1}\n[]\n5\n{"gpus": []}\n{"tags": {}}\n')
    journal = own_engine.state / "sandboxes" / newer.object_id / "journal"
    ask, *standings = read_lines(journal)
    journal.unlink()
    append_lines(journal, ask | {"colour": "red"}, *(each | {"mood": "good"} for each in standings))
    own_engine.start()
    assert own_engine.listed() == [newer.object_id]
    with pytest.raises(NotFoundError):
        own_engine.get(damaged.object_id).poll()
    [aside] = (own_engine.state / "unreadable").iterdir()
    assert aside.name.startswith(damaged.object_id)


@damages
def test_files_whose_list_is_damaged_can_be_sent_once_more(tmp_path: Path, damage: bytes) -> None:
    content = Content(tmp_path / "content")
    content.put(DIGEST, CONTENT)
    mounts = Mounts(tmp_path / "mounts", content)
    files = [MountFile(path="/sent/file", digest=DIGEST, mode=0o644)]
    mount_id = mounts.make(files)
    mounts.all()[mount_id].write_bytes(damage)
    assert mounts.digests([mount_id]) == set()
    with pytest.raises(WorldNotFoundError):
        asyncio.run(mounts.layer(mount_id))
    assert mounts.make(files) == mount_id
    assert (asyncio.run(mounts.layer(mount_id)) / "sent" / "file").read_bytes() == CONTENT


def test_what_is_kept_is_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "kept.json"
    for value in ({"a": "\udcff"}, {"a": 2}):
        keep_json(path, value)
        assert read_json(path) == value
    assert list(tmp_path.iterdir()) == [path]
