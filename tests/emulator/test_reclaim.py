"""Disk space is had back from what nothing alive needs, and from nothing else."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import modal
import pytest

from support.engine import Engine, wait_until
from support.sandboxes import supervisor_of
from trebuchet.emulator import daemon
from trebuchet.emulator.assembly import assemble
from trebuchet.emulator.world.builds import Built
from trebuchet.emulator.world.reclaim import Wanted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import modal

    from trebuchet.emulator.world.images import Image
    from trebuchet.emulator.world.world import World

WALK = os.walk
DAY_S = 86_400.0


def reclaimable(engine: Engine) -> dict[str, list[str]]:
    """Ids by kind of what can go."""
    return by_kind(daemon.reclaimable(engine.endpoint, older_than_s=DAY_S, volumes=False))


def reclaim(engine: Engine, *, older_than_s: float = DAY_S, volumes: bool = False) -> dict[str, list[str]]:
    """Ids by kind of what went."""
    return by_kind(daemon.reclaim(engine.endpoint, older_than_s=older_than_s, volumes=volumes))


def by_kind(found: list[dict[str, object]]) -> dict[str, list[str]]:
    ids: dict[str, list[str]] = {}
    for one in found:
        ids.setdefault(str(one["kind"]), []).append(str(one["id"]))
    return ids


def make_old(*places: Path, seconds: float = 100 * DAY_S) -> None:
    for place in places:
        known = place.stat()
        os.utime(place, (known.st_atime - seconds, known.st_mtime - seconds))


def folder_of(engine: Engine, sandbox: modal.Sandbox) -> Path:
    return engine.state / "sandboxes" / sandbox.object_id


def test_a_fresh_engine_has_nothing_to_give(own_engine: Engine) -> None:
    own_engine.run("true")
    assert reclaimable(own_engine) == {}


def test_what_a_sandbox_wrote_before_the_engine_was_killed_can_go_and_its_log_stays(
    own_engine: Engine,
) -> None:
    sandbox = own_engine.create("sh", "-c", "echo said; head -c 1000000 /dev/zero > /root/file; sleep 600")
    assert next(iter(sandbox.stdout)) == "said\n"
    folder = folder_of(own_engine, sandbox)
    wait_until((folder / "process" / "root" / "root" / "file").exists)
    supervisor = supervisor_of(folder / "process")
    os.kill(own_engine.endpoint.pid, signal.SIGKILL)
    os.kill(supervisor, signal.SIGKILL)
    (own_engine.state / "alive" / sandbox.object_id).unlink()  # as one that died between marking and removing
    own_engine.start()
    make_old(folder / "journal", seconds=3600)
    assert reclaimable(own_engine) == {"overlay": [sandbox.object_id]}
    assert (folder / "process" / "root").exists()
    assert reclaim(own_engine) == {"overlay": [sandbox.object_id]}
    assert not (folder / "process" / "root").exists()
    assert (folder / "process" / "log").exists()
    assert reclaimable(own_engine) == {}


def test_old_ended_sandboxes_go_and_live_and_recent_ones_stay(own_engine: Engine) -> None:
    old, recent = own_engine.create("true"), own_engine.create("true")
    live = own_engine.create("sh", "-c", "echo up; exec sleep 600")
    old.wait()
    recent.wait()
    assert next(iter(live.stdout)) == "up\n"
    make_old(*(folder_of(own_engine, one) / "journal" for one in (old, live)))
    assert reclaim(own_engine) == {"sandbox": [old.object_id]}
    with pytest.raises(modal.exception.NotFoundError):
        own_engine.get(old.object_id).poll()
    assert own_engine.get(recent.object_id).poll() == 0
    assert live.exec("echo", "still here").stdout.read() == "still here\n"
    live.terminate()


def test_mounts_go_when_no_sandbox_has_them_and_come_back_when_wanted(
    own_engine: Engine, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("content\n")
    image = modal.Image.debian_slim().add_local_dir(tmp_path, "/sent")
    live = own_engine.create("sh", "-c", "cat /sent/file; sleep 600", image=image)
    assert next(iter(live.stdout)) == "content\n"
    (mount,) = [place for place in (own_engine.state / "mounts").iterdir() if (place / "sent").exists()]
    make_old(mount)
    assert reclaim(own_engine) == {}
    live.terminate()
    live.wait(raise_on_termination=False)
    make_old(mount)
    assert reclaim(own_engine) == {"mount": [mount.name]}
    assert own_engine.run("cat", "/sent/file", image=image) == (0, "content\n")


def test_what_was_sent_goes_when_no_mount_has_it(own_engine: Engine, tmp_path: Path) -> None:
    state = own_engine.state
    images = {}
    for name in ("old", "kept"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "shared").write_text("in both\n")
        (tmp_path / name / name).write_bytes(os.urandom(300_000))
        (tmp_path / name / name).chmod(0o755)
        images[name] = modal.Image.debian_slim().add_local_dir(tmp_path / name, "/sent")
        assert own_engine.run("cat", "/sent/shared", image=images[name]) == (0, "in both\n")
    mounts = {name: next(state.glob(f"mounts/*/sent/{name}")).parents[1] for name in images}
    before = {path.name.partition("-")[0] for path in state.glob("content/*/*")}
    make_old(*(path for path in state.glob("content/*/*") if path.is_file()))
    make_old(*state.glob("mounts/*"))
    os.utime(mounts["kept"].with_suffix(".json"))  # as if it had been asked for just now
    own_engine.kill()  # what was asked for lately is remembered by the one that was asked
    own_engine.start()

    found = daemon.reclaimable(own_engine.endpoint, older_than_s=DAY_S, volumes=False)
    [size] = [int(str(one["size"])) for one in found if one["kind"] == "content"]
    assert 300_000 < size < 1_000_000
    assert reclaim(own_engine).keys() >= {"mount", "content"}
    left = {path.name.partition("-")[0] for path in state.glob("content/*/*")}
    assert len(before - left) == 1  # the old one's own file, and not what both have
    assert not mounts["old"].exists()
    assert not mounts["old"].with_suffix(".json").exists()
    assert "content" not in reclaimable(own_engine)
    assert own_engine.run("cat", "/sent/shared", image=images["kept"]) == (0, "in both\n")
    anew = modal.Image.debian_slim().add_local_dir(tmp_path / "old", "/sent")
    assert own_engine.run("cat", "/sent/shared", image=anew) == (0, "in both\n")


def test_volumes_go_only_when_asked_for_and_when_nothing_has_them(own_engine: Engine) -> None:
    used, unused, fresh = (
        modal.Volume.from_name(name, create_if_missing=True) for name in ("used", "unused", "fresh")
    )
    for volume in (used, unused, fresh):
        volume.hydrate(client=own_engine.client)
    live = own_engine.create("sleep", "600", volumes={"/data": used})
    make_old(*(own_engine.state / "volumes" / volume.object_id for volume in (used, unused)))
    assert "volume" not in reclaim(own_engine)
    assert reclaim(own_engine, volumes=True)["volume"] == [unused.object_id]
    with pytest.raises(modal.exception.NotFoundError):
        modal.Volume.from_name("unused").hydrate(client=own_engine.client)
    assert live.poll() is None
    live.terminate()


def test_snapshots_stay_until_their_time_is_up(own_engine: Engine) -> None:
    sandbox = own_engine.create("sh", "-c", "echo kept > /root/file; echo up; sleep 600")
    assert next(iter(sandbox.stdout)) == "up\n"
    image = sandbox.snapshot_filesystem()
    sandbox.terminate()
    sandbox.wait(raise_on_termination=False)
    assert not {"image", "layer"} & reclaim(own_engine, older_than_s=0).keys()
    assert own_engine.run("cat", "/root/file", image=image) == (0, "kept\n")
    record = own_engine.state / "images" / f"{image.object_id}.json"
    own_engine.kill()
    record.write_text(json.dumps(json.loads(record.read_text()) | {"expires_at": 1.0}))
    own_engine.start()
    reclaim(own_engine)  # the daemon may have come first: it sweeps them too
    assert not record.exists()
    assert not (own_engine.state / "layers" / f"snapshot-{image.object_id}").exists()


def test_nothing_that_starts_meanwhile_is_harmed(own_engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content\n")
    image = modal.Image.debian_slim().add_local_dir(tmp_path, "/sent")
    failures: list[Any] = []

    def keep_starting() -> None:
        for _ in range(15):
            outcome = own_engine.run("cat", "/sent/file", image=image)
            if outcome != (0, "content\n"):
                failures.append(outcome)

    starting = threading.Thread(target=keep_starting)
    starting.start()
    while starting.is_alive():
        reclaim(own_engine, older_than_s=0)
    assert failures == []


async def found_with_volumes(world: World) -> list[str]:
    """The ids of the volumes that can go."""
    found = await world.reclaim.find(Wanted(older_than_s=DAY_S, volumes=True))
    return [one.id for one in found if one.kind == "volume"]


def test_the_daemon_goes_on_while_volumes_are_looked_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    went_on = threading.Event()

    def walk(folder: Path) -> Iterator[tuple[str, list[str], list[str]]]:
        assert went_on.wait(10), "the event loop stands still"
        return WALK(folder)

    async def look() -> None:
        async with assemble(tmp_path) as parts:
            volume = parts.world.volumes.make("old", "main", 1)
            make_old(parts.world.volumes.folder(volume.id))
            monkeypatch.setattr(os, "walk", walk)
            asyncio.get_running_loop().call_soon(went_on.set)
            assert await found_with_volumes(parts.world) == [volume.id]

    asyncio.run(look())


def test_a_volume_that_is_changed_while_it_is_looked_through_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def look() -> None:
        async with assemble(tmp_path) as parts:
            volumes = parts.world.volumes
            changed, other = (volumes.make(name, "main", 1) for name in ("changed", "other"))
            make_old(*(volumes.folder(volume.id) for volume in (changed, other)))

            def walk(folder: Path) -> Iterator[tuple[str, list[str], list[str]]]:
                known = list(WALK(folder))
                volumes.files(changed.id)  # as one does who is about to write there
                return iter(known)

            monkeypatch.setattr(os, "walk", walk)
            assert await found_with_volumes(parts.world) == [other.id]

    asyncio.run(look())


def test_many_images_are_looked_through_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def look() -> None:
        async with assemble(tmp_path) as parts:
            world, looks = parts.world, Counter[str]()
            for number in range(20):
                world.builds.adopt(Built(id=f"im-{number}"))
            everything = world.images.all

            def counted() -> list[Image]:
                looks["images"] += 1
                return everything()

            monkeypatch.setattr(world.images, "all", counted)
            found = await world.reclaim.find(Wanted(older_than_s=DAY_S))
            assert sum(one.kind == "image" for one in found) == 20
            assert looks["images"] < 5

    asyncio.run(look())
