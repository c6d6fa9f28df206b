"""Which local files would travel, and what is said about those that would not."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from trebuchet.errors import UsageError
from trebuchet.sandbox import Upload
from trebuchet.uploads import DEEPEST, Manifest, scan

if TYPE_CHECKING:
    from collections.abc import Iterator


def workdir(source: Path) -> Manifest:
    return scan(Upload(source=source, target="/root/sky_workdir", role="workdir"))


def file_mount(source: Path) -> Manifest:
    return scan(Upload(source=source, target="/data", role="file_mount"))


def write_at(path: Path, content: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def test_counts_files_and_bytes_and_names_the_largest(tmp_path: Path) -> None:
    write_at(tmp_path / "small.txt", "ab")
    write_at(tmp_path / "sub" / "big.bin", "x" * 1000)

    manifest = workdir(tmp_path)

    assert (manifest.count, manifest.bytes) == (2, 1002)
    assert [file.path for file in manifest.largest()] == ["sub/big.bin", "small.txt"]


@pytest.mark.parametrize("folder", [".git", ".venv", "__pycache__", "node_modules"])
def test_leaves_out_what_nobody_means_to_send(tmp_path: Path, folder: str) -> None:
    write_at(tmp_path / "deep" / folder / "inside.txt")
    write_at(tmp_path / "kept.txt")

    assert set(workdir(tmp_path).files) == {"kept.txt"}


def test_a_git_file_of_a_worktree_is_left_out_too(tmp_path: Path) -> None:
    write_at(tmp_path / ".git", "gitdir: elsewhere")

    assert workdir(tmp_path).count == 0


@pytest.mark.parametrize("name", [".gitignore", ".skyignore", ".trebuchetignore"])
def test_obeys_each_ignore_file(tmp_path: Path, name: str) -> None:
    write_at(tmp_path / name, "*.log\n/build/\n# comment\n\ndata/*\n!data/keep.csv\n")
    for path in ("a.log", "sub/b.log", "build/c", "sub/build/d", "data/e.csv", "data/keep.csv", "f.py"):
        write_at(tmp_path / path)

    assert set(workdir(tmp_path).files) == {name, "sub/build/d", "data/keep.csv", "f.py"}


def test_a_later_ignore_file_beats_an_earlier_one(tmp_path: Path) -> None:
    write_at(tmp_path / ".gitignore", "*.bin\n")
    write_at(tmp_path / ".skyignore", "!weights.bin\n")
    write_at(tmp_path / "weights.bin")
    write_at(tmp_path / "other.bin")

    assert "weights.bin" in workdir(tmp_path).files
    assert "other.bin" not in workdir(tmp_path).files


@pytest.mark.parametrize("pattern", ["!", "\\", "foo\\", "!\\", "[z-a]", "a[", "[", "!/"])
def test_a_pattern_that_is_none_matches_nothing_as_in_git(tmp_path: Path, pattern: str) -> None:
    for name in (".gitignore", ".skyignore"):
        write_at(tmp_path / name, f"*.log\n{pattern}\n/secret\n")
    for path in ("a.log", "sub/a.log", "secret", "kept", ".git/HEAD"):
        write_at(tmp_path / path)

    assert set(workdir(tmp_path).files) == {".gitignore", ".skyignore", "kept"}


@pytest.mark.parametrize("name", [".gitignore", ".skyignore", ".trebuchetignore"])
def test_a_mark_at_the_start_of_an_ignore_file_does_not_hide_its_first_pattern(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_bytes(b"\xef\xbb\xbfsecret.txt\r\nother.txt\r\n")
    write_at(tmp_path / "secret.txt")
    write_at(tmp_path / "other.txt")

    assert set(workdir(tmp_path).files) == {name}


def test_a_pattern_ends_where_its_line_does(tmp_path: Path) -> None:
    write_at(tmp_path / ".gitignore", "se\u2028cret.txt\nsec\x0cret.txt\n")
    write_at(tmp_path / "se\u2028cret.txt")
    write_at(tmp_path / "sec\x0cret.txt")

    assert set(workdir(tmp_path).files) == {".gitignore"}


def test_an_ignore_file_deep_down_speaks_about_its_own_folder(tmp_path: Path) -> None:
    write_at(tmp_path / "sub" / ".gitignore", "/only_here\n")
    write_at(tmp_path / "sub" / "only_here")
    write_at(tmp_path / "only_here")

    assert set(workdir(tmp_path).files) == {"only_here", "sub/.gitignore"}


def test_what_is_left_out_by_default_can_be_asked_for(tmp_path: Path) -> None:
    write_at(tmp_path / ".trebuchetignore", "!node_modules\n")
    write_at(tmp_path / "node_modules" / "left-pad" / "index.js")

    assert "node_modules/left-pad/index.js" in workdir(tmp_path).files


def test_a_file_mount_takes_everything(tmp_path: Path) -> None:
    write_at(tmp_path / ".gitignore", "*\n")
    write_at(tmp_path / ".git" / "HEAD")

    assert set(file_mount(tmp_path).files) == {".gitignore", ".git/HEAD"}


def test_names_with_spaces_quotes_and_other_scripts_are_taken(tmp_path: Path) -> None:
    names = {"two words.txt", "it's.txt", 'a"b.txt', "naïve-日本語.txt", "semi;colon", "new\nline"}
    for name in names:
        write_at(tmp_path / name)

    assert set(workdir(tmp_path).files) == names


def test_permission_bits_are_recorded(tmp_path: Path) -> None:
    write_at(tmp_path / "run.sh")
    (tmp_path / "run.sh").chmod(0o755)

    assert workdir(tmp_path).files["run.sh"].mode == 0o755


def test_says_what_cannot_arrive_as_it_is(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    write_at(outside / "file.txt", "content")
    top = tmp_path / "top"
    top.mkdir()
    (top / "folder-link").symlink_to(outside)
    (top / "broken-link").symlink_to(top / "nowhere")
    (top / "file-link").symlink_to(outside / "file.txt")
    (top / os.fsdecode(b"\xff\xfe.txt")).write_text("")
    (top / os.fsdecode(b"\xff")).mkdir()
    os.mkfifo(top / "pipe")

    manifest = workdir(top)

    assert manifest.files["file-link"].size == len("content")
    assert manifest.count == 1
    assert {left.path: left.why for left in manifest.left_out} == {
        "folder-link": "a link to a folder elsewhere is not followed",
        "broken-link": "a link that leads nowhere",
        os.fsdecode(b"\xff\xfe.txt"): "its name is not UTF-8",
        os.fsdecode(b"\xff"): "its name is not UTF-8",
        "pipe": "neither a file nor a folder",
    }


@pytest.mark.parametrize("role", ["workdir", "file_mount"])
def test_links_that_the_system_cannot_follow_are_left_out_and_listed(tmp_path: Path, role: str) -> None:
    write_at(tmp_path / "kept")
    (tmp_path / "itself").symlink_to(tmp_path / "itself")
    (tmp_path / "long").symlink_to("/" + "x" * 300)
    (tmp_path / "below-a-file").symlink_to(tmp_path / "kept" / "x")
    (tmp_path / "long-within").symlink_to("x" * 300)

    manifest = scan(Upload(source=tmp_path, target="/data", role=role))  # pyright: ignore[reportArgumentType]

    assert set(manifest.files) == {"kept"}
    assert set(manifest.links) == {"long-within"}
    assert {left.path: left.why for left in manifest.left_out} == dict.fromkeys(
        ("itself", "long", "below-a-file"), "a link that leads nowhere"
    )


@pytest.fixture
def depths(tmp_path: Path) -> Iterator[None]:
    """A folder deeper than any launch can send; removed here, since pytest's own way would nest calls."""
    here = tmp_path
    for _ in range(1_100):
        here /= "d"
        here.mkdir()
    yield
    for folder in (here, *here.parents):
        if folder == tmp_path:
            break
        (folder / ".gitignore").unlink(missing_ok=True)
        folder.rmdir()


@pytest.mark.usefixtures("depths")
def test_folders_too_deep_for_any_launch_are_an_error_unless_they_are_ignored(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="more than 500 deep"):
        workdir(tmp_path)
    here = tmp_path.joinpath(*["d"] * DEEPEST)
    write_at(here / ".gitignore", "/d\n")
    assert set(workdir(tmp_path).files) == {"d/" * DEEPEST + ".gitignore"}


@pytest.mark.parametrize("going", ["file", "folder"])
def test_what_vanishes_meanwhile_is_left_out_and_no_question_of_permissions(
    tmp_path: Path, going: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_at(tmp_path / "first")
    write_at(tmp_path / "folder" / "inner")
    write_at(tmp_path / "file")
    listed = os.scandir

    def list_and_lose(folder: Path) -> list[os.DirEntry[str]]:
        entries = list(listed(folder))
        if folder == tmp_path:
            (tmp_path / going).rename(tmp_path.with_name(f"{tmp_path.name}-gone"))
        return entries

    monkeypatch.setattr(os, "scandir", list_and_lose)
    manifest = workdir(tmp_path)

    assert set(manifest.files) == {"first", "folder/inner", "file"} - {going, f"{going}/inner"}
    assert [(left.path, left.why) for left in manifest.left_out] == [
        (going, "it was gone when it was looked at")
    ]


def test_folders_without_files_and_links_within_are_taken_as_they_are(tmp_path: Path) -> None:
    write_at(tmp_path / "sub" / "file")
    write_at(tmp_path / ".gitignore", "*.log\n")
    write_at(tmp_path / "logs" / "a.log", "ignored")
    (tmp_path / "deep" / "empty").mkdir(parents=True)
    (tmp_path / "deep" / "empty").chmod(0o700)
    links = {"to-file": "sub/file", "sub/to-folder": "../sub", "to-nothing": "out/later", "up": ".."}
    links["log"] = "logs/a.log"
    for path, target in links.items():
        (tmp_path / path).symlink_to(target)

    manifest = workdir(tmp_path)

    assert manifest.folders == {"deep/empty": 0o700, "logs": (tmp_path / "logs").stat().st_mode & 0o777}
    assert manifest.links == {name: links[name] for name in ("to-file", "sub/to-folder", "to-nothing")}
    assert manifest.files["log"].size == len("ignored"), "what it names is not sent, so its content is"
    assert [left.path for left in manifest.left_out] == ["up"]


def test_an_empty_folder_that_is_mounted_is_there(tmp_path: Path) -> None:
    assert list(file_mount(tmp_path).folders) == [""]
    assert not workdir(tmp_path).folders


def test_ignored_oddities_are_not_worth_a_word(tmp_path: Path) -> None:
    (tmp_path / "node_modules" / ".bin").mkdir(parents=True)
    (tmp_path / "node_modules" / "link").symlink_to("nowhere")

    assert workdir(tmp_path).left_out == ()


def test_a_single_file_is_a_manifest_of_one(tmp_path: Path) -> None:
    write_at(tmp_path / "netrc", "machine x")

    assert list(file_mount(tmp_path / "netrc").files) == ["netrc"]


@pytest.mark.parametrize("role", ["workdir", "file_mount"])
def test_a_missing_source_is_an_error_that_names_it(tmp_path: Path, role: str) -> None:
    upload = Upload(source=tmp_path / "gone", target="/data", role=role)  # pyright: ignore[reportArgumentType]

    with pytest.raises(UsageError, match="gone does not exist"):
        scan(upload)


def test_a_socket_is_refused(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        with pytest.raises(UsageError, match="neither a file nor a folder"):
            file_mount(tmp_path / "s")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file_is_an_error_before_anything_is_sent(tmp_path: Path) -> None:
    write_at(tmp_path / "locked")
    (tmp_path / "locked").chmod(0)

    with pytest.raises(UsageError, match="locked cannot be read"):
        workdir(tmp_path)


def test_the_fingerprint_follows_the_files(tmp_path: Path) -> None:
    write_at(tmp_path / "a", "1")
    before = workdir(tmp_path).fingerprint()
    assert workdir(tmp_path).fingerprint() == before

    os.utime(tmp_path / "a", ns=(1, 1))
    touched = workdir(tmp_path).fingerprint()
    (tmp_path / "a").chmod(0o700)
    made_executable = workdir(tmp_path).fingerprint()

    (tmp_path / "empty").mkdir()
    with_folder = workdir(tmp_path).fingerprint()
    (tmp_path / "empty").rmdir()
    (tmp_path / "empty").symlink_to("a")
    with_link = workdir(tmp_path).fingerprint()

    assert len({before, touched, made_executable, with_folder, with_link}) == 5


def test_a_small_file_written_anew_with_the_same_content_counts_as_unchanged(tmp_path: Path) -> None:
    write_at(tmp_path / "script.sh", "echo 1")
    before = file_mount(tmp_path / "script.sh").fingerprint()

    os.utime(tmp_path / "script.sh", ns=(1, 1))
    assert file_mount(tmp_path / "script.sh").fingerprint() == before

    write_at(tmp_path / "script.sh", "echo 2")
    assert file_mount(tmp_path / "script.sh").fingerprint() != before


@pytest.mark.parametrize("role", ["workdir", "file_mount"])
def test_the_state_folder_with_its_tokens_never_travels(tmp_path: Path, role: str) -> None:
    top, state = tmp_path / "top", tmp_path / "top" / "deep" / ".state"
    write_at(state / "local" / "token", "secret")
    write_at(top / "kept")
    write_at(top / ".trebuchetignore", "!.state/\n!*\n")
    (top / "link").symlink_to("deep/.state/local/token")
    (top / "other-link").symlink_to(state / "local")
    upload = Upload(source=top, target="/data", role=role)  # pyright: ignore[reportArgumentType]

    (tmp_path / "alias").symlink_to(top)
    manifest = scan(upload, state=tmp_path / "alias" / "deep" / ".state")

    assert set(manifest.files) == {"kept", ".trebuchetignore"}
    assert not manifest.links
    assert {left.path: left.why for left in manifest.left_out} == {
        "deep/.state": "Trebuchet's own state, with its tokens",
        "link": "a link to Trebuchet's own state",
        "other-link": "a link to Trebuchet's own state",
    }


def test_a_work_dir_that_is_the_state_folder_is_refused(tmp_path: Path) -> None:
    write_at(tmp_path / "ledger.sqlite3")
    upload = Upload(source=tmp_path, target="/root/sky_workdir", role="workdir")

    with pytest.raises(UsageError, match="keeps its state and its tokens") as refused:
        scan(upload, state=tmp_path)
    assert "TREBUCHET_HOME" in str(refused.value.hint)


def test_what_was_pulled_into_a_work_dir_does_not_travel_unless_it_is_asked_for(tmp_path: Path) -> None:
    pulled = "outputs-k3f7abcdefgh"
    write_at(tmp_path / "sub" / pulled / "model.bin")
    write_at(tmp_path / "outputs-old" / "mine")
    write_at(tmp_path / ".trebuchet-pull-0123456789abcdef")

    manifest = workdir(tmp_path)

    assert set(manifest.files) == {"outputs-old/mine"}
    assert [left.path for left in manifest.left_out] == [".trebuchet-pull-0123456789abcdef", f"sub/{pulled}"]
    assert "!outputs-*/" in manifest.left_out[1].why
    write_at(tmp_path / ".trebuchetignore", "!outputs-*/\n")
    assert f"sub/{pulled}/model.bin" in workdir(tmp_path).files
    assert f"sub/{pulled}/model.bin" in file_mount(tmp_path).files
