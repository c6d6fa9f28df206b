"""Volumes of which each sandbox has a copy, as on Modal: what is committed, and when others see it."""

from __future__ import annotations

import os
import shutil
import threading
import uuid
from contextlib import suppress
from io import BytesIO
from typing import TYPE_CHECKING

import modal
import pytest
from modal.exception import NotFoundError

from support.engine import Engine, local_engine, wait_until
from trebuchet.emulator.world.trees import Tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def isolating(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine whose sandboxes have copies."""
    state = tmp_path_factory.mktemp("isolating")
    with local_engine(state, env={"TREBUCHET_LOCAL_VOLUMES": "isolated"}) as made:
        yield made


@pytest.fixture(params=[1, 2], ids=["v1", "v2"])
def volume(request: pytest.FixtureRequest, isolating: Engine) -> modal.Volume:
    name = f"volume-{uuid.uuid4().hex[:12]}"
    made = modal.Volume.from_name(
        name, create_if_missing=True, version=request.param, client=isolating.client
    ).hydrate()
    put(made, "/first", "first\n")
    return made


def put(volume: modal.Volume, path: str, text: str) -> None:
    with volume.batch_upload(force=True) as batch:
        batch.put_file(BytesIO(text.encode()), path)


def run(sandbox: modal.Sandbox, script: str) -> str:
    """What a script printed, which must succeed."""
    process = sandbox.exec("sh", "-ec", script)
    output = process.stdout.read()
    assert process.wait() == 0, process.stderr.read()
    return output


def names(volume: modal.Volume) -> set[str]:
    return {entry.path for entry in volume.listdir("/", recursive=True)}


def test_others_see_what_was_committed_when_they_reload(isolating: Engine, volume: modal.Volume) -> None:
    one, two = (isolating.create("sleep", "300", volumes={"/mnt/v": volume}) for _ in range(2))
    run(one, "cd /mnt/v; mkdir deep; echo new > deep/file; chmod 750 deep/file; rm first; ln -s deep way")
    wait_until(lambda: names(volume) == {"deep", "deep/file", "way"})
    assert run(two, "cd /mnt/v; echo *") == "first\n"
    two.reload_volumes()
    assert run(two, "cd /mnt/v; echo *; cat way/file; stat -c %a deep/file") == "deep way\nnew\n750\n"
    for sandbox in (one, two):
        sandbox.terminate()


def test_what_the_caller_puts_is_seen_after_a_reload(isolating: Engine, volume: modal.Volume) -> None:
    sandbox = isolating.create("sleep", "300", volumes={"/mnt/v": volume})
    put(volume, "/first", "changed\n")
    put(volume, "/second", "")
    assert run(sandbox, "cd /mnt/v; echo *; cat first") == "first\nfirst\n"
    sandbox.reload_volumes()
    assert run(sandbox, "cd /mnt/v; echo *; cat first") == "first second\nchanged\n"
    sandbox.terminate()


@pytest.mark.parametrize("kind", ["isolated", "shared"])
def test_every_user_of_a_sandbox_reads_volumes(isolating: Engine, engine: Engine, kind: str) -> None:
    used = isolating if kind == "isolated" else engine
    name = f"volume-{uuid.uuid4().hex[:12]}"
    volume = modal.Volume.from_name(name, create_if_missing=True, client=used.client).hydrate()
    put(volume, "/deep/er/file", "read\n")
    for options, look in (({}, "cat deep/er/file"), ({"sub_path": "made/here"}, "ls && echo read")):
        mounts = {"/mnt/v": volume.with_mount_options(**options)}
        sandbox = used.create("sleep", "300", volumes=mounts)
        assert run(sandbox, f"cd /mnt/v && su nobody -s /bin/sh -c '{look}'") == "read\n"
        sandbox.terminate()
    assert (used.state / "volumes").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("watch", ["wait", "stdout", "poll"])
@pytest.mark.parametrize("words", [("sync", "/mnt/v"), ("sh", "-c", "cd / && sync /mnt/v; true")])
def test_sync_commits_volumes_of_version_2_before_its_end_is_told(
    isolating: Engine, watch: str, words: tuple[str, ...]
) -> None:
    volume = modal.Volume.from_name(
        f"volume-{uuid.uuid4().hex[:12]}", create_if_missing=True, version=2, client=isolating.client
    ).hydrate()
    sandbox = isolating.create("sleep", "300", volumes={"/mnt/v": volume})
    for number in range(5):  # a commit that comes by itself now and then does not make all of them pass
        run(sandbox, f"touch /mnt/v/{number}")
        process = sandbox.exec(*words)
        match watch:
            case "wait":
                process.wait()
            case "stdout":
                process.stdout.read()
            case _:
                wait_until(lambda process=process: process.poll() is not None)
        assert str(number) in names(volume)
    sandbox.terminate()


def test_the_end_commits(isolating: Engine, volume: modal.Volume) -> None:
    script = "cd /mnt/v; echo at the end > last; rm first; mkdir -p a/b; mv last a/b/"
    sandbox = isolating.create("sh", "-ec", script, volumes={"/mnt/v": volume})
    sandbox.wait()
    assert sandbox.returncode == 0
    assert names(volume) == {"a", "a/b", "a/b/last"}
    assert b"".join(volume.read_file("/a/b/last")) == b"at the end\n"
    wait_until(lambda: not (isolating.state / "sandboxes" / sandbox.object_id / "volumes").exists())


def test_there_is_nothing_to_reload_after_the_end(isolating: Engine, volume: modal.Volume) -> None:
    sandbox = isolating.create("true", volumes={"/mnt/v": volume})
    sandbox.wait()
    with pytest.raises(NotFoundError):
        sandbox.reload_volumes()


def test_a_reload_commits_first(isolating: Engine, volume: modal.Volume) -> None:
    sandbox = isolating.create("sleep", "300", volumes={"/mnt/v": volume})
    run(sandbox, "echo mine > /mnt/v/mine")
    sandbox.reload_volumes()
    assert names(volume) == {"first", "mine"}
    assert run(sandbox, "cat /mnt/v/mine") == "mine\n"
    sandbox.terminate()


def test_two_that_write_keep_each_others_files(isolating: Engine, volume: modal.Volume) -> None:
    sandboxes = [isolating.create("sleep", "300", volumes={"/mnt/v": volume}) for _ in range(2)]
    for number, sandbox in enumerate(sandboxes):
        run(sandbox, f"echo {number} > /mnt/v/{number}")
    for sandbox in sandboxes:
        sandbox.terminate(wait=True)
    assert names(volume) == {"first", "0", "1"}


def test_kinds_may_change(isolating: Engine, volume: modal.Volume) -> None:
    one, two = (isolating.create("sleep", "300", volumes={"/mnt/v": volume}) for _ in range(2))
    run(one, "cd /mnt/v; mkdir folder; echo 1 > folder/file; ln -s /etc link")
    one.reload_volumes()
    two.reload_volumes()
    run(two, "cd /mnt/v; rm -r folder link; echo 2 > folder; mkdir link; echo 3 > link/passwd")
    two.reload_volumes()
    one.reload_volumes()
    assert run(one, "cd /mnt/v; cat folder link/passwd") == "2\n3\n"
    for sandbox in (one, two):
        sandbox.terminate()


def test_a_part_that_may_not_be_written_is_a_copy_too(isolating: Engine, volume: modal.Volume) -> None:
    put(volume, "/part/file", "part\n")
    mounted = volume.with_mount_options(read_only=True, sub_path="part")
    code, output = isolating.run(
        "sh", "-c", "cat /mnt/v/file; touch /mnt/v/x || echo refused", volumes={"/mnt/v": mounted}
    )
    assert (code, output) == (0, "part\nrefused\n")


DEEP = """
import os
os.chdir("/mnt/v")
for _ in range(3000):
    os.mkdir("deeper")
    os.chdir("deeper")
"""


def test_nothing_in_a_volume_keeps_its_sandbox_from_ending(isolating: Engine, volume: modal.Volume) -> None:
    scripts = {
        "deep": ("python3", "-c", DEEP),
        "odd": ("python3", "-c", "open(b'/mnt/v/\\xff\\n', 'w')"),
        "hollow": ("truncate", "-s", "900G", "/mnt/v/hollow"),
        "closed": ("sh", "-c", "mkdir /mnt/v/closed; touch /mnt/v/closed/file; chmod 0 /mnt/v/closed"),
    }
    ended = {}
    for what, argv in scripts.items():
        sandbox = isolating.create(*argv, volumes={"/mnt/v": volume})
        sandbox.wait(raise_on_termination=False)
        ended[what] = sandbox.returncode
        copies = isolating.state / "sandboxes" / sandbox.object_id
        wait_until(lambda copies=copies: not (copies / "volumes").exists())
        wait_until(lambda copies=copies: not (copies / "process" / "root").exists())
    assert ended == dict.fromkeys(scripts, 0)
    assert names(volume) == {"first", "\\xff\n", "hollow", "closed", "closed/file"}
    [hollow] = isolating.state.glob(f"volumes/{volume.object_id}/hollow")
    assert hollow.stat().st_size == 900 << 30
    assert hollow.stat().st_blocks < 100


def test_an_unknown_way_of_sharing_is_refused(tmp_path: Path) -> None:
    from trebuchet.emulator.errors import EmulatorError

    with (
        pytest.raises(EmulatorError, match="TREBUCHET_LOCAL_VOLUMES"),
        local_engine(tmp_path / "state", env={"TREBUCHET_LOCAL_VOLUMES": "sometimes"}),
    ):
        pass


def test_no_link_that_is_swapped_in_is_followed(tmp_path: Path) -> None:
    outside, hostile, kept = (tmp_path / name for name in ("outside", "hostile", "kept"))
    for folder in (outside, hostile, kept):
        folder.mkdir()
    (outside / "secret").write_text("of the host")
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            with suppress(OSError):  # what is looked at is changed too
                (hostile / "d").mkdir()
                (hostile / "d" / "secret").write_text("its own")
                (hostile / "d" / "secret").unlink()
                (hostile / "d").rmdir()
            with suppress(OSError):
                (hostile / "d").symlink_to(outside)
                (hostile / "d").unlink()
            with suppress(OSError):
                shutil.rmtree(hostile / "d")

    swapping = threading.Thread(target=swap)
    swapping.start()
    try:
        for _ in range(300):
            entries = Tree(hostile).scan()
            Tree(kept).take(Tree(hostile), ["d", "d/secret", *entries])
            if (kept / "d").is_dir() and not (kept / "d").is_symlink() and (kept / "d" / "secret").exists():
                assert "host" not in (kept / "d" / "secret").read_text()
            Tree(hostile).take(Tree(kept), ["d/secret"])
            Tree(hostile).drop(["d/secret"])
    finally:
        stop.set()
        swapping.join()
    assert [path.name for path in outside.iterdir()] == ["secret"]
    assert (outside / "secret").read_text() == "of the host"


def test_a_volume_can_be_deleted_while_a_sandbox_has_a_copy(isolating: Engine, volume: modal.Volume) -> None:
    sandbox = isolating.create("sleep", "300", volumes={"/mnt/v": volume})
    assert run(sandbox, "cat /mnt/v/first") == "first\n"
    modal.Volume.objects.delete(volume.name, client=isolating.client)
    assert run(sandbox, "echo more >> /mnt/v/first; cat /mnt/v/first") == "first\nmore\n"
    with pytest.raises(NotFoundError):
        sandbox.reload_volumes()
    sandbox.terminate(wait=True)
    assert sandbox.returncode == 137


def test_what_is_no_link_any_more_when_it_is_read_is_left_for_the_next_time(tmp_path: Path, monkeypatch):
    (tmp_path / "d").symlink_to("anywhere")
    read = os.readlink

    def late(name: str, *, dir_fd: int) -> str:
        (tmp_path / "d").unlink()
        (tmp_path / "d").mkdir()
        return read(name, dir_fd=dir_fd)

    monkeypatch.setattr(os, "readlink", late)
    assert Tree(tmp_path).scan() == {}
