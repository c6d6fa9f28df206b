"""Local files arrive as they were, or it was said that they would not."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from trebuchet.errors import UsageError
from trebuchet.sandbox import Upload
from trebuchet.uploads import scan

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Bench

LIST = r"find . -type f -printf '%m %s %P\n' | sort"


def upload(source: Path, target: str = "/root/sky_workdir", role: str = "workdir") -> Upload:
    return Upload(source=source, target=target, role=role)  # pyright: ignore[reportArgumentType]


def write(path: Path, content: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    path.chmod(0o644)


def test_names_content_and_permissions_arrive(bench: Bench, tmp_path: Path) -> None:
    write(tmp_path / "two words.txt", "a b")
    write(tmp_path / "naïve-日本語.txt", "é")
    write(tmp_path / 'it\'s "quoted";$x.txt', "q")
    write(tmp_path / "deep" / "er" / "run.sh", "#!/bin/sh\necho ran")
    (tmp_path / "deep" / "er" / "run.sh").chmod(0o755)
    write(tmp_path / "empty.txt")

    text = bench.output(f"{LIST}; ./deep/er/run.sh", uploads=(upload(tmp_path),), workdir="/root/sky_workdir")

    assert text.splitlines() == [
        "644 0 empty.txt",
        '644 1 it\'s "quoted";$x.txt',
        "644 2 naïve-日本語.txt",
        "644 3 two words.txt",
        "755 18 deep/er/run.sh",
        "ran",
    ]


def test_bytes_arrive_exactly(bench: Bench, tmp_path: Path) -> None:
    content = bytes(range(256)) * 40_000  # 10 MB: more than one message holds
    (tmp_path / "data.bin").write_bytes(content)
    import hashlib

    text = bench.output("sha256sum < /data/data.bin", uploads=(upload(tmp_path, "/data", "file_mount"),))

    assert text.split()[0] == hashlib.sha256(content).hexdigest()


def test_what_is_ignored_stays_here(bench: Bench, tmp_path: Path) -> None:
    write(tmp_path / ".gitignore", "*.log\n")
    write(tmp_path / "a.log")
    write(tmp_path / ".git" / "HEAD")
    write(tmp_path / "kept.txt")

    text = bench.output("find . -type f | sort", uploads=(upload(tmp_path),), workdir="/root/sky_workdir")

    assert text.split() == ["./.gitignore", "./kept.txt"]


def test_links_elsewhere_arrive_as_what_they_name_or_not_at_all(bench: Bench, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    write(outside / "file.txt", "far")
    top = tmp_path / "top"
    write(top / "near.txt", "near")
    (top / "to-far").symlink_to(outside / "file.txt")
    (top / "to-folder").symlink_to(outside)
    (top / "to-nowhere").symlink_to("/gone")

    text = bench.output(
        "find . -mindepth 1 -printf '%y %P\n' | sort", uploads=(upload(top),), workdir="/root/sky_workdir"
    )

    assert text.splitlines() == ["f near.txt", "f to-far"]
    assert {left.path for left in scan(upload(top)).left_out} == {"to-folder", "to-nowhere"}


def test_a_single_file_arrives_at_its_own_place(bench: Bench, tmp_path: Path) -> None:
    write(tmp_path / "token", "hf_canary")
    (tmp_path / "token").chmod(0o600)
    uploads = (upload(tmp_path / "token", "/root/.secrets/hf token", "credential"),)

    assert (
        bench.output("stat -c %a '/root/.secrets/hf token'; cat '/root/.secrets/hf token'", uploads=uploads)
        == "600\nhf_canary"
    )


def test_several_uploads_lie_side_by_side(bench: Bench, tmp_path: Path) -> None:
    write(tmp_path / "work" / "a", "A")
    write(tmp_path / "data" / "b", "B")
    write(tmp_path / "one.txt", "C")
    uploads = (
        upload(tmp_path / "work"),
        upload(tmp_path / "data", "/root/data", "file_mount"),
        upload(tmp_path / "one.txt", "/etc/one.txt", "file_mount"),
    )

    assert bench.output("cat /root/sky_workdir/a /root/data/b /etc/one.txt", uploads=uploads) == "ABC"


def test_a_job_may_change_what_was_uploaded_and_nobody_else_sees_it(bench: Bench, tmp_path: Path) -> None:
    write(tmp_path / "file.txt", "mine")
    uploads = (upload(tmp_path),)
    script = "cat file.txt; echo changed > file.txt; echo new > other.txt; cat file.txt"

    assert bench.output(script, uploads=uploads, workdir="/root/sky_workdir") == "minechanged\n"
    assert bench.output("cat file.txt; ls", uploads=uploads, workdir="/root/sky_workdir") == "minefile.txt\n"
    assert (tmp_path / "file.txt").read_text() == "mine"


def test_an_edited_file_arrives_as_edited(bench: Bench, tmp_path: Path) -> None:
    write(tmp_path / "file.txt", "old")
    uploads = (upload(tmp_path, "/data", "file_mount"),)
    assert bench.output("cat /data/file.txt", uploads=uploads) == "old"

    write(tmp_path / "file.txt", "new")
    os.utime(tmp_path / "file.txt", (1, 1))
    assert bench.output("cat /data/file.txt", uploads=uploads) == "new"


def test_an_empty_folder_is_no_error(bench: Bench, tmp_path: Path) -> None:
    assert bench.output("echo ok", uploads=(upload(tmp_path),)) == "ok\n"


def test_a_missing_source_is_noticed_before_anything_is_created(bench: Bench, tmp_path: Path) -> None:
    mark = f"{bench.mark}m"
    with pytest.raises(UsageError, match="does not exist"):
        bench.create("true", uploads=(upload(tmp_path / "gone"),), tags={"mark": mark})

    assert bench.engine.find({"mark": mark}) == []
