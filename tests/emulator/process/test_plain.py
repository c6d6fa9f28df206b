"""Where there are no containers: less isolation, the same interface."""

from __future__ import annotations

import os
import time

from support.sandboxes import processes_with, until
from trebuchet.emulator.process.defaults import SEARCH_PATH
from trebuchet.emulator.process.isolation import Isolation, find_isolation
from trebuchet.emulator.process.spec import Bind

_PLAIN = Isolation(mode="plain", missing=("everything",))


def test_a_process_has_a_home_and_a_work_folder_of_its_own(drive):
    async def body(sandboxes):
        ended = await sandboxes.run(
            "echo $HOME; pwd; echo $A; touch ~/file; exit 3", workdir="/root/work", env={"A": "b"}
        )
        assert ended.stdout.decode().split() == [
            f"{ended.folder}/root/root",
            f"{ended.folder}/root/root/work",
            "b",
        ]
        assert (ended.state.exit_code, ended.state.cause) == (3, "exit")
        await sandboxes.host.cleanup(ended.folder)
        assert not (ended.folder / "root").exists()

    drive(body, isolation=_PLAIN)


def test_what_an_image_puts_before_the_usual_search_path_comes_before_its_own(drive):
    async def body(sandboxes):
        ended = await sandboxes.run(
            "echo $PATH | cut -d: -f1; python3 -c 'print(6 * 7)'", env={"PATH": f"/opt/mine:{SEARCH_PATH}"}
        )
        assert ended.stdout == b"/opt/mine\n42\n", ended

    drive(body, isolation=_PLAIN)


def test_all_descendants_die_with_it_whatever_session_they_are_in(drive):
    async def body(sandboxes):
        mark = f"10{time.time_ns()}"
        folder = await sandboxes.start(f"(trap '' TERM; setsid sleep {mark} &); sleep {mark} & echo up; wait")
        await sandboxes.printed(folder, b"up")
        await until(lambda: len(processes_with(f"sleep\0{mark}")) == 2)
        sandboxes.host.terminate(folder)
        assert (await sandboxes.host.wait_end(folder, 10)).cause == "terminated"
        await until(lambda: not processes_with(f"sleep\0{mark}"))
        ended = await sandboxes.run(f"(setsid sleep {mark} &); sleep {mark} & echo done", timeout_s=30)
        assert (ended.stdout, ended.state.exit_code) == (b"done\n", 0)
        await until(lambda: not processes_with(f"sleep\0{mark}"))

    drive(body, isolation=_PLAIN)


def test_commands_inside_it_share_its_home(drive):
    async def body(sandboxes):
        folder = await sandboxes.start("echo made > ~/file; echo up; sleep 1000")
        await sandboxes.printed(folder, b"up")
        ended = await sandboxes.exec(folder, "cat ~/file; exit 4")
        assert (ended.stdout, ended.state.exit_code) == (b"made\n", 4)
        sandboxes.host.terminate(folder)
        assert (await sandboxes.host.wait_end(folder, 10)).exit_code == 137

    drive(body, isolation=_PLAIN)


def test_uploads_are_copies_and_volumes_are_the_thing_itself(drive, tmp_path):
    async def body(sandboxes):
        (tmp_path / "upload").mkdir()
        (tmp_path / "upload/file").write_text("data\n")
        (tmp_path / "volume").mkdir()
        binds = (
            Bind(source=tmp_path / "upload", target="/root/work"),
            Bind(source=tmp_path / "volume", target="/root/volume", read_only=False),
        )
        ended = await sandboxes.run(
            "cat file; echo x > file; echo new > ~/volume/file", binds=binds, workdir="/root/work"
        )
        assert ended.stdout == b"data\n"
        assert (tmp_path / "upload/file").read_text() == "data\n"
        assert (tmp_path / "volume/file").read_text() == "new\n"

    drive(body, isolation=_PLAIN)


def test_a_pip_install_stays_within_it(drive):
    async def body(sandboxes):
        ended = await sandboxes.run("python -c 'import sys; print(sys.prefix)'; pip --version; command -v uv")
        prefix, version, uv = ended.stdout.decode().splitlines()
        assert prefix.startswith(str(ended.folder))
        assert str(ended.folder) in version
        assert uv

    drive(body, isolation=_PLAIN)


def test_what_is_missing_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("trebuchet.emulator.process.isolation.find_bubblewrap", lambda: None)
    found = find_isolation(tmp_path)
    assert found.mode == "plain"
    assert "bubblewrap" in found.missing[0]


def test_the_best_that_works_here_is_found(tmp_path):
    found = find_isolation(tmp_path)
    assert found.own_users == (os.geteuid() != 0)
    assert (found.mode, found.layers_on_disk) == ("bubblewrap", True)
    assert bool(found.missing) == found.own_users
