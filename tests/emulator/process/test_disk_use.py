"""What a sandbox may write: its quota, and what is to stay free for others."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from trebuchet.emulator.process.isolation import find_bubblewrap
from trebuchet.emulator.process.limits import Limits
from trebuchet.emulator.process.supervise import written as counting
from trebuchet.emulator.process.supervise.written import logged, written

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WRITE = "dd if=/dev/zero of={place} bs=1M count={mib} status=none; echo wrote; sleep {s}"


@pytest.mark.parametrize("place", ["/tmp/file", "/root/file", "/usr/lib/written"])
def test_one_that_writes_more_than_its_quota_is_ended(drive, place):
    if find_bubblewrap() is None and place.startswith("/usr"):
        pytest.skip("without bubblewrap it has no system folders of its own")

    async def body(sandboxes):
        ended = await sandboxes.run(WRITE.format(place=place, mib=60, s=60))
        assert (ended.state.exit_code, ended.state.cause) == (137, "disk_full")
        assert ended.state.message == "The sandbox wrote more than its 0.0488 GiB of disk."
        assert b"It was ended." in ended.notices

    drive(body, limits=Limits(disk_bytes=50 << 20))


def test_one_that_keeps_within_its_quota_is_not(drive):
    async def body(sandboxes):
        ended = await sandboxes.run(WRITE.format(place="/tmp/file", mib=30, s=1.5))
        assert (ended.state.exit_code, ended.stdout) == (0, b"wrote\n")

    drive(body, limits=Limits(disk_bytes=50 << 20))


def test_who_writes_on_when_the_disk_is_nearly_full_is_ended_and_nobody_else(drive, engine_state):
    # More is to stay free than is: the disk counts as full for both.
    keep = shutil.disk_usage(engine_state).free * 2

    async def body(sandboxes):
        modest = await sandboxes.start("sleep 600")
        greedy = await sandboxes.run("sleep 1.5; " + WRITE.format(place="/tmp/file", mib=40, s=60))
        assert (greedy.state.exit_code, greedy.state.cause) == (137, "disk_full")
        assert "went on writing" in greedy.state.message
        assert sandboxes.host.state(modest).phase == "running"
        sandboxes.host.terminate(modest)

    drive(body, limits=Limits(keep_free_bytes=keep))


def test_what_a_folder_holds_is_counted_without_following_links(tmp_path: Path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "file").write_bytes(b"x" * 100_000)
    (tmp_path / "hole").touch()
    with (tmp_path / "hole").open("r+b") as file:
        file.truncate(1 << 30)
    (tmp_path / "link").symlink_to("/usr")
    assert 100_000 <= written(str(tmp_path)) < 200_000


def test_one_that_vanishes_while_it_is_counted_hides_nothing_beside_it(tmp_path: Path, monkeypatch):
    for name in ("a", "b", "c"):
        (tmp_path / name).write_bytes(b"x" * 100_000)
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "file").write_bytes(b"x" * 100_000)
    (tmp_path / "short-lived").touch()

    @contextmanager
    def listed_too_early(path: str) -> Iterator[list[os.DirEntry[str]]]:
        with scan(path) as entries:
            listed = sorted(entries, key=lambda entry: entry.name != "short-lived")
        (tmp_path / "short-lived").unlink(missing_ok=True)
        yield listed

    scan = os.scandir
    monkeypatch.setattr(counting.os, "scandir", listed_too_early)
    assert 400_000 <= written(str(tmp_path)) < 500_000


@pytest.mark.parametrize("place", ["/tmp/file", "/usr/lib/written"])
def test_a_file_without_a_name_counts_while_it_is_open(drive, place):
    if find_bubblewrap() is None and place.startswith("/usr"):
        pytest.skip("without bubblewrap it has no system folders of its own")

    async def body(sandboxes):
        hidden = f"exec 3> {place}; rm {place}; head -c {60 << 20} /dev/zero >&3; sleep 60"
        assert (await sandboxes.run(hidden)).state.cause == "disk_full"

    drive(body, limits=Limits(disk_bytes=50 << 20))


def test_what_lies_deeper_than_a_path_can_say_counts(drive):
    dig = "import os\nfor _ in range(100): os.mkdir('d' * 200); os.chdir('d' * 200)\n"
    write = f"open('file', 'wb').write(bytes({60 << 20})); import time; time.sleep(60)"

    async def body(sandboxes):
        assert (await sandboxes.run(f'python3 -c "{dig}{write}"')).state.cause == "disk_full"

    drive(body, limits=Limits(disk_bytes=50 << 20))


def test_what_is_printed_counts_as_written(drive, engine_state):
    keep = shutil.disk_usage(engine_state).free * 2

    async def body(sandboxes):
        ended = await sandboxes.run("sleep 1.5; while true; do head -c 1000000 /dev/zero; sleep 0.02; done")
        assert (ended.state.exit_code, ended.state.cause) == (137, "disk_full")
        assert b"It was ended." in ended.notices

    drive(body, limits=Limits(keep_free_bytes=keep))


def test_what_commands_begun_later_print_counts_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for folder in (tmp_path, tmp_path / "execs" / "one", tmp_path / "execs" / "two"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "log").write_bytes(b"x" * 100_000)
    monkeypatch.chdir(tmp_path)
    assert 300_000 <= logged() < 400_000
