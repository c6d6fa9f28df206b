"""Snapshots of a running sandbox's files, and what others do with them."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING

import modal
import pytest
from modal.exception import ConflictError, InvalidError, NotFoundError, UnimplementedError

from support.engine import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from support.engine import Engine

both_versions = pytest.mark.parametrize("options", [{}, {"gpu": "H100"}], ids=["v2", "v1"])


def run(sandbox: modal.Sandbox, script: str) -> str:
    """What a script printed, which must succeed."""
    process = sandbox.exec("sh", "-ec", script)
    output = process.stdout.read()
    assert process.wait() == 0, process.stderr.read()
    return output


@both_versions
def test_a_new_sandbox_starts_where_the_old_one_was(engine: Engine, options: dict[str, str]) -> None:
    sandbox = engine.create("sleep", "300", **options)
    run(
        sandbox,
        "echo home > /root/file; echo passing > /tmp/file; mkdir -p /data/deep; echo data > /data/deep/file; "
        "echo mine > /etc/mine; rm /etc/hostname; mkdir /usr/lib/added; ln -s /etc/mine /root/link; "
        "chmod 640 /root/file",
    )
    image = sandbox.snapshot_filesystem()
    run(sandbox, "echo later > /root/file; rm -r /data")
    code, output = engine.run(
        "sh", "-c",
        "cat /root/file /tmp/file /data/deep/file /etc/mine /root/link; test -d /usr/lib/added && "
        "! test -e /etc/hostname && stat -c %a /root/file && "
        "echo new > /data/deep/file && cat /data/deep/file",
        image=modal.Image.from_id(image.object_id, client=engine.client), **options,
    )  # fmt: skip
    assert (code, output) == (0, "home\npassing\ndata\nmine\nmine\n640\nnew\n")
    sandbox.terminate()


def test_one_can_be_taken_on_top_of_another(engine: Engine) -> None:
    first = engine.create("sleep", "300")
    run(first, "echo 1 > /root/one; echo 1 > /root/gone")
    second = engine.create("sleep", "300", image=first.snapshot_filesystem(ttl=None))
    run(second, "echo 2 > /root/two; rm /root/gone")
    image = second.snapshot_filesystem()
    assert engine.run("sh", "-c", "cd /root; echo *", image=image) == (0, "one two\n")
    for sandbox in (first, second):
        sandbox.terminate()


def test_files_at_the_very_top_come_along_and_can_be_changed(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "upload").write_text("uploaded\n")
    image = modal.Image.debian_slim().add_local_file(tmp_path / "upload", "/upload")
    first = engine.create("sleep", "300", image=image)
    assert run(first, "stat -c %a /") == "755\n"
    run(first, "echo 1 > /one; echo 1 > /two; echo 1 > /gone; echo more >> /upload")
    second = engine.create("sleep", "300", image=first.snapshot_filesystem())
    assert run(second, "cd /; cat one two gone upload; echo 2 > two; rm gone") == "1\n1\n1\nuploaded\nmore\n"
    third = engine.create("sleep", "300", image=second.snapshot_filesystem())
    assert run(third, "cd /; cat one two upload; ! test -e gone") == "1\n2\nuploaded\nmore\n"
    assert (tmp_path / "upload").read_text() == "uploaded\n"
    assert engine.run("cat", "/upload", image=image) == (0, "uploaded\n")
    for sandbox in (first, second, third):
        sandbox.terminate()


def test_it_has_what_its_image_had(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "upload").write_text("uploaded\n")
    base = modal.Image.debian_slim().env({"WORD": "w"}).workdir("/srv/here")
    sandbox = engine.create("sleep", "300", image=base.add_local_file(tmp_path / "upload", "/opt/up/file"))
    image = sandbox.snapshot_filesystem()
    assert engine.run("sh", "-c", "pwd; echo $WORD; cat /opt/up/file", image=image) == (
        0,
        "/srv/here\nw\nuploaded\n",
    )
    sandbox.terminate()


def test_volumes_stay_out_of_it(engine: Engine) -> None:
    with modal.Volume.ephemeral(client=engine.client) as volume:
        sandbox = engine.create("sleep", "300", volumes={"/mnt/volume": volume})
        run(sandbox, "echo secret > /mnt/volume/file")
        assert engine.run("ls", "/mnt/volume", image=sandbox.snapshot_filesystem()) == (0, "")
        sandbox.terminate(wait=True)


def test_it_outlives_its_sandbox_and_the_daemon(own_engine: Engine) -> None:
    sandbox = own_engine.create("sleep", "300")
    run(sandbox, "echo kept > /root/file")
    image_id = sandbox.snapshot_filesystem().object_id
    sandbox.terminate(wait=True)
    own_engine.kill()
    own_engine.start()
    image = modal.Image.from_id(image_id, client=own_engine.client)
    assert own_engine.run("cat", "/root/file", image=image) == (0, "kept\n")


def test_a_folders_snapshot_is_mounted_and_taken_away(engine: Engine) -> None:
    source, target = engine.create("sleep", "300"), engine.create("sleep", "300")
    run(source, "mkdir -p /data/deep; echo one > /data/deep/file; ln -s /data /root/way")
    image = source.snapshot_directory("/root/way")  # by a link, which is the sandbox's own
    run(target, "mkdir /work; echo old > /work/old")
    target.mount_image("/work", image)
    assert (
        run(target, "cd /work; find . -type f; cat deep/file; echo two > deep/file") == "./deep/file\none\n"
    )
    target.unmount_image("/work")
    assert run(target, "cd /work; echo *") == "old\n"
    target.mount_image("/new/place", modal.Image.from_id(image.object_id, client=engine.client))
    assert run(target, "cat /new/place/deep/file") == "one\n"
    target.mount_image("/work", modal.Image.from_scratch())
    assert run(target, "ls -A /work") == ""
    for sandbox in (source, target):
        sandbox.terminate()


def test_what_cannot_be_done_is_said(engine: Engine) -> None:
    sandbox = engine.create("sleep", "300")
    whole, folder = sandbox.snapshot_filesystem(), sandbox.snapshot_directory("/srv")
    with pytest.raises(InvalidError, match="mounted, and not run"):
        engine.create("true", image=folder)
    with pytest.raises(InvalidError, match="over the whole"):
        sandbox.mount_image("/", folder)
    with pytest.raises(UnimplementedError, match="snapshots of folders"):
        sandbox.mount_image("/x", whole)
    with pytest.raises(ConflictError, match="nothing is mounted"):
        sandbox.unmount_image("/x")
    with pytest.raises(NotFoundError, match="There is no folder /nowhere in the sandbox"):
        sandbox.snapshot_directory("/nowhere")
    with pytest.raises(InvalidError, match="/etc/passwd is not a folder"):
        sandbox.snapshot_directory("/etc/passwd")
    with pytest.raises(InvalidError, match="no absolute path"):
        sandbox.snapshot_directory("/srv/../etc")
    sandbox.terminate(wait=True)
    with pytest.raises(ConflictError, match="does not run"):
        sandbox.snapshot_filesystem()
    for image_id in ("im-none", "im-../../token", "../sandboxes"):
        with pytest.raises(NotFoundError):
            engine.create("true", image=modal.Image.from_id(image_id, client=engine.client))


def test_one_is_published_under_a_name(engine: Engine) -> None:
    name, client = f"image-{time.monotonic_ns()}", engine.client
    sandbox = engine.create("sleep", "300")
    run(sandbox, "echo 1 > /root/file")
    for tag in ("v1", "latest"):
        sandbox.snapshot_filesystem().publish(f"{name}:{tag}", environment_name="main", client=client)
        run(sandbox, "echo 2 > /root/file")
    sandbox.terminate()
    for tag, content in (("", "2\n"), (":v1", "1\n"), (":latest", "2\n")):
        image = modal.Image.from_name(f"{name}{tag}", environment_name="main", client=client)
        assert engine.run("cat", "/root/file", image=image) == (0, content)
    for unknown, environment in ((f"{name}:v2", "main"), (name, "local"), (name, "nowhere")):
        with pytest.raises(NotFoundError):
            engine.create(
                "true", image=modal.Image.from_name(unknown, environment_name=environment, client=client)
            )


def test_its_time_runs_out(own_engine: Engine) -> None:
    sandbox = own_engine.create("sleep", "300")
    run(sandbox, "echo 1 > /root/file")
    passing, short = sandbox.snapshot_filesystem(ttl=1), sandbox.snapshot_filesystem(ttl=3600)
    layer = own_engine.state / "layers" / f"snapshot-{short.object_id}"
    on_it = own_engine.create("sleep", "300", image=short)
    kept = on_it.snapshot_filesystem()
    wait_until(lambda: is_gone(own_engine, passing))
    assert not is_gone(own_engine, short)
    own_engine.kill()
    let_run_out(own_engine, short)
    own_engine.start()
    assert is_gone(own_engine, short)
    assert run(own_engine.get(on_it.object_id), "cat /root/file") == "1\n"
    for alive in (sandbox, on_it):
        own_engine.get(alive.object_id).terminate(wait=True)
    own_engine.kill()
    own_engine.start()  # looks for what it can remove at once
    assert own_engine.run("cat", "/root/file", image=kept) == (0, "1\n")
    assert layer.is_dir()  # the other is made of it


def is_gone(engine: Engine, image: modal.Image) -> bool:
    try:
        engine.create("true", image=modal.Image.from_id(image.object_id, client=engine.client))
    except NotFoundError:
        return True
    return False


def let_run_out(engine: Engine, image: modal.Image) -> None:
    """Write down for an engine that does not run that the time of a snapshot is over."""
    record = engine.state / "images" / f"{image.object_id}.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"expires_at": 1.0}))


def test_what_nobody_needs_any_more_is_removed(own_engine: Engine) -> None:
    sandbox = own_engine.create("sleep", "300")
    image = sandbox.snapshot_filesystem(ttl=3600)
    layer = own_engine.state / "layers" / f"snapshot-{image.object_id}"
    assert layer.is_dir()
    sandbox.terminate(wait=True)
    own_engine.kill()
    let_run_out(own_engine, image)
    own_engine.start()
    wait_until(lambda: not layer.exists())


def test_asking_again_takes_no_second_one(engine: Engine) -> None:
    sandbox = engine.create("sleep", "300")
    layers = engine.state / "layers"
    before = len(list(layers.glob("snapshot-*")))
    engine.set_faults({"call": "TaskSnapshotFilesystem", "action": "lose_answer", "times": 1})
    sandbox.snapshot_filesystem()
    assert len(list(layers.glob("snapshot-*"))) == before + 1
    sandbox.terminate()


def test_links_that_are_swapped_meanwhile_lead_nowhere_on_the_host(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("of the host")
    swap = f"rm -rf /root/d; mkdir /root/d; touch /root/d/secret; rm -rf /root/d; ln -s {tmp_path} /root/d"
    sandbox = engine.create("sh", "-c", f"while :; do {swap}; done")
    stop, found = time.monotonic() + 1.5, []

    def take() -> None:
        while time.monotonic() < stop:
            found.append(sandbox.snapshot_filesystem())

    takers = [threading.Thread(target=take) for _ in range(2)]
    for taker in takers:
        taker.start()
    for taker in takers:
        taker.join()
    sandbox.terminate(wait=True)
    assert found
    for path in (engine.state / "layers").glob("snapshot-*/root/d/secret"):
        if not path.parent.is_symlink():
            assert path.read_text() == ""
