"""Copies of what a sandbox has written, as layers of others; also for an ordinary user."""

from __future__ import annotations

import pytest

from trebuchet.emulator.process.errors import NotRunningError, ProcessError
from trebuchet.emulator.process.snapshots import copy_folder, copy_written, place_folder, take_away
from trebuchet.emulator.process.spec import ProcessSpec


def test_all_that_was_written_becomes_a_layer(drive, tmp_path):
    async def body(sandboxes):
        folder = await sandboxes.start(
            "mkdir -p /data/deep; echo data > /data/deep/file; echo tmp > /tmp/file; rm /etc/hostname; "
            "mkdir /usr/lib/added; ln -s /data /root/way; echo up; read x"
        )
        await sandboxes.printed(folder, b"up")
        await copy_written(sandboxes.host, folder, tmp_path / "layer")
        sandboxes.host.terminate(folder)
        ended = await sandboxes.run(
            "cat /root/way/deep/file /tmp/file; ls /etc/hostname; ls -d /usr/lib/added; "
            "echo more > /data/deep/file && rm /usr/lib/added -r && ls /usr/lib/added",
            layers=(tmp_path / "layer",),
        )
        assert ended.stdout == b"data\ntmp\n/usr/lib/added\n", ended
        assert ended.stderr.count(b"No such file") == 2
        assert (tmp_path / "layer" / "data" / "deep" / "file").read_text() == "data\n"

    drive(body)


def test_one_that_is_asked_for_at_once_waits_for_the_start(drive, tmp_path):
    async def body(sandboxes):
        folder = sandboxes.folder()
        await sandboxes.host.start(ProcessSpec(id="x", argv=()), folder)
        await copy_written(sandboxes.host, folder, tmp_path / "layer")
        assert (tmp_path / "layer" / "root").is_dir()
        sandboxes.host.terminate(folder)
        await sandboxes.host.wait_end(folder)
        with pytest.raises(NotRunningError):
            await copy_written(sandboxes.host, folder, tmp_path / "late")

    drive(body)


def test_a_layer_hides_what_was_removed_and_made_anew(drive, tmp_path):
    async def body(sandboxes):
        layers = []
        scripts = ("mkdir -p /data/a/b; touch /data/a/b/old", "rm -r /data/a; mkdir /data/a")
        for number, script in enumerate(scripts):
            folder = await sandboxes.start(f"{script}; echo up; read x", layers=tuple(layers))
            await sandboxes.printed(folder, b"up")
            await copy_written(sandboxes.host, folder, tmp_path / str(number))
            sandboxes.host.terminate(folder)
            layers.append(tmp_path / str(number))
        ended = await sandboxes.run("cd /data; find . -mindepth 1", layers=tuple(layers))
        assert ended.stdout == b"./a\n"

    drive(body)


def test_a_folder_is_copied_as_the_sandbox_sees_it_and_shown_in_another(drive, tmp_path):
    async def body(sandboxes):
        folder = await sandboxes.start(
            "ln -s /etc/ssl /root/way; rm -r /etc/ssl/*; echo a > /etc/ssl/a; echo up; read x"
        )
        await sandboxes.printed(folder, b"up")
        await copy_folder(sandboxes.host, folder, "/root/way", tmp_path / "copy")
        assert [path.name for path in (tmp_path / "copy").iterdir()] == ["a"]
        with pytest.raises(ProcessError, match="passwd"):
            await copy_folder(sandboxes.host, folder, "/etc/passwd", tmp_path / "none")
        await place_folder(sandboxes.host, folder, "/srv", tmp_path / "copy")
        assert (await sandboxes.exec(folder, "ls /srv; echo b > /srv/b")).stdout == b"a\n"
        await take_away(sandboxes.host, folder, "/srv")
        assert (await sandboxes.exec(folder, "ls -A /srv")).stdout == b""
        assert [path.name for path in (tmp_path / "copy").iterdir()] == ["a"]
        assert not list((folder / "root").glob(".snapshot-*")) + list(folder.glob(".snapshot-*"))
        sandboxes.host.terminate(folder)

    drive(body)


def test_the_network_can_be_kept_from_one(drive):
    async def body(sandboxes):
        folder = await sandboxes.start("echo up; read x", network=False)
        await sandboxes.printed(folder, b"up")
        looks = "grep -c : /proc/net/dev"
        assert (await sandboxes.exec(folder, looks)).stdout == b"1\n"
        sandboxes.host.terminate(folder)

    drive(body)


@pytest.mark.parametrize(
    "paths",
    [("/data/a/b", "/data/a%b", "/data%a/b"), ("/" + "deep/" * 60 + "b",)],
    ids=["alike", "long"],
)
def test_what_mounts_hide_comes_back_whatever_their_paths(drive, tmp_path, paths):
    (tmp_path / "source").mkdir()

    async def body(sandboxes):
        makes = "".join(f"mkdir -p {path}; echo {path} > {path}/file; " for path in paths)
        folder = await sandboxes.start(f"{makes} echo up; read x")
        await sandboxes.printed(folder, b"up")
        for path in paths:
            await place_folder(sandboxes.host, folder, path, tmp_path / "source")
        for path in paths:
            await take_away(sandboxes.host, folder, f"{path}/")
        held = await sandboxes.exec(folder, "cat " + " ".join(f"{path}/file" for path in paths))
        assert held.stdout.decode().split() == list(paths)
        sandboxes.host.terminate(folder)

    drive(body)
