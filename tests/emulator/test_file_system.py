"""`Sandbox.filesystem`: files inside a running sandbox, without a shell."""

from __future__ import annotations

import threading
import uuid
from typing import TYPE_CHECKING

import modal
import pytest
from modal import exception

from support.engine import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.engine import Engine


@pytest.fixture(scope="module")
def sandbox(engine: Engine) -> Iterator[modal.Sandbox]:
    made = engine.create("sleep", "300")
    yield made
    made.terminate()


def test_what_is_written_is_read_again(sandbox: modal.Sandbox) -> None:
    files = sandbox.filesystem
    files.write_text("some words\n", "/work/deep/words.txt")
    assert files.read_text("/work/deep/words.txt") == "some words\n"
    content = bytes(range(256)) * 20_000  # more than a message holds
    files.write_bytes(content, "/work/bytes")
    assert files.read_bytes("/work/bytes") == content
    assert sandbox.exec("wc", "-c", "/work/bytes").stdout.read().split() == ["5120000", "/work/bytes"]


def test_files_are_copied_to_and_fro(sandbox: modal.Sandbox, tmp_path: Path) -> None:
    (tmp_path / "here").write_bytes(b"\0\xff" * 100_000)
    sandbox.filesystem.copy_from_local(tmp_path / "here", "/there")
    sandbox.filesystem.copy_to_local("/there", tmp_path / "new" / "back")
    assert (tmp_path / "new" / "back").read_bytes() == b"\0\xff" * 100_000


def test_folders_are_listed_and_described(sandbox: modal.Sandbox) -> None:
    files = sandbox.filesystem
    files.make_directory("/listed/folder")
    files.write_text("12345", "/listed/file")
    sandbox.exec("ln", "-s", "file", "/listed/link").wait()
    found = {entry.name: entry for entry in files.list_files("/listed")}
    assert {name: entry.type.value for name, entry in found.items()} == {
        "file": "file",
        "folder": "directory",
        "link": "symlink",
    }
    assert (found["file"].size, found["file"].owner, found["link"].symlink_target) == (5, "root", "file")
    assert files.stat("/listed/file").path == "/listed/file"


@pytest.mark.parametrize(
    "made", ["mkdir -m 1775 $0", "touch $0; chmod 4640 $0", "ln -s nowhere $0", "mkfifo -m 7 $0"]
)
def test_modes_are_those_that_stat_shows(sandbox: modal.Sandbox, made: str) -> None:
    path = f"/srv/moded-{uuid.uuid4().hex}"
    shown = sandbox.exec("sh", "-ec", f"{made}; stat -c '%a %f' $0", path).stdout.read().split()
    facts = sandbox.filesystem.stat(path)
    assert (facts.permissions, facts.mode) == (shown[0].zfill(4), int(shown[1], 16))
    listed = {entry.path: entry for entry in sandbox.filesystem.list_files("/srv")}
    assert (listed[path].permissions, listed[path].mode) == (facts.permissions, facts.mode)


def test_files_and_folders_are_removed(sandbox: modal.Sandbox) -> None:
    files = sandbox.filesystem
    files.write_text("", "/gone/file")
    with pytest.raises(exception.SandboxFilesystemDirectoryNotEmptyError):
        files.remove("/gone")
    files.remove("/gone/file")
    files.write_text("", "/gone/again")
    files.remove("/gone", recursive=True)
    with pytest.raises(exception.SandboxFilesystemNotFoundError):
        files.stat("/gone")


def test_each_failure_has_its_own_error(sandbox: modal.Sandbox) -> None:
    files = sandbox.filesystem
    files.write_text("", "/a-file")
    files.make_directory("/a-folder")
    with pytest.raises(exception.SandboxFilesystemNotFoundError):
        files.read_text("/nowhere")
    with pytest.raises(exception.SandboxFilesystemIsADirectoryError):
        files.read_text("/a-folder")
    with pytest.raises(exception.SandboxFilesystemIsADirectoryError):
        files.write_text("", "/a-folder")
    with pytest.raises(exception.SandboxFilesystemNotADirectoryError):
        files.list_files("/a-file")
    with pytest.raises(exception.SandboxFilesystemNotADirectoryError):
        files.write_text("", "/a-file/below")
    with pytest.raises(exception.SandboxFilesystemPathAlreadyExistsError):
        files.make_directory("/a-folder", create_parents=False)
    for parents in (True, False):
        with pytest.raises(exception.SandboxFilesystemPathAlreadyExistsError):
            files.make_directory("/a-file", create_parents=parents)
    with pytest.raises(exception.SandboxFilesystemNotADirectoryError):
        files.make_directory("/a-file/below")
    with pytest.raises(exception.SandboxFilesystemNotFoundError):
        files.make_directory("/none/such", create_parents=False)
    sandbox.exec("truncate", "-s", "6G", "/large").wait()
    with pytest.raises(exception.SandboxFilesystemFileTooLargeError):
        files.read_bytes("/large")
    sandbox.exec("rm", "/large").wait()


def test_an_image_without_python_is_told_so(engine: Engine) -> None:
    sandbox = engine.create("sleep", "60")
    script = 'IFS=:; for folder in $PATH; do rm -f "$folder/python3"; done; ! command -v python3'
    assert sandbox.exec("sh", "-c", script).wait() == 0
    with pytest.raises(exception.SandboxFilesystemError, match="python3 of the image"):
        sandbox.filesystem.stat("/etc/passwd")
    sandbox.terminate()


def test_changes_are_watched(sandbox: modal.Sandbox) -> None:
    sandbox.filesystem.make_directory("/watched")
    seen: list[tuple[str, list[str]]] = []

    def watch() -> None:
        for event in sandbox.filesystem.watch("/watched", timeout=30):
            seen.append((event.type.value, event.paths))
            if event.type.value == "Remove":
                break

    watching = threading.Thread(target=watch)
    watching.start()
    written = iter(range(1_000_000))

    def write() -> bool:
        sandbox.filesystem.write_text("x" * next(written), "/watched/file")
        return {"Create", "Modify"} & {kind for kind, _ in seen} != set()

    wait_until(write)
    sandbox.filesystem.remove("/watched/file")
    watching.join(30)
    assert seen[-1] == ("Remove", ["/watched/file"])


def test_no_change_is_too_short_to_be_seen(sandbox: modal.Sandbox) -> None:
    sandbox.filesystem.make_directory("/busy")
    seen: list[tuple[str, list[str]]] = []

    def watch() -> None:
        for event in sandbox.filesystem.watch("/busy", recursive=True, timeout=60):
            seen.append((event.type.value, event.paths))
            if event.paths == ["/busy/last"]:
                break

    watching = threading.Thread(target=watch)
    watching.start()
    written = iter(range(1_000_000))

    def write() -> bool:
        sandbox.filesystem.write_text("x" * next(written), "/busy/first")
        return bool(seen)

    wait_until(write)
    script = "mkdir deep; for i in $(seq 50); do : > deep/$i; mv deep/$i moved; rm moved; done; : > last"
    assert sandbox.exec("sh", "-c", script, workdir="/busy").wait() == 0
    watching.join(30)
    made = {path for kind, paths in seen if kind == "Create" for path in paths}
    assert {"/busy/deep", "/busy/last"} <= made
    assert [paths for kind, paths in seen if kind == "Remove"] == [["/busy/moved"]] * 50
    moved = [paths for kind, paths in seen if kind == "Modify" and paths[-1] == "/busy/moved"]
    assert len(moved) == 50
