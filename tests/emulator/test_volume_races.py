"""Volumes in which a sandbox is at work while they are listed, read and removed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trebuchet.emulator.process.removal import remove_shared_tree, remove_tree
from trebuchet.emulator.world.errors import InvalidError, NotFoundError
from trebuchet.emulator.world.volumes import Volumes

LEVELS = 2500


@pytest.fixture
def volume(tmp_path: Path) -> tuple[Volumes, str, Path]:
    """All volumes, the id of one, and the folder that its sandboxes see."""
    volumes = Volumes(tmp_path / "volumes")
    made = volumes.make("outputs", "main", 2)
    return volumes, made.id, volumes.place(made.id, "/")


def dig(folder: Path, *, mode: int = 0o755) -> None:
    """Make folders in each other, deeper than a path may be long."""
    here = os.open(folder, os.O_RDONLY)
    for _ in range(LEVELS):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.fchmod(here, mode)
        os.close(here)
        here = below
    os.close(os.open("f", os.O_WRONLY | os.O_CREAT, dir_fd=here))
    os.close(here)


def test_what_goes_while_it_is_listed_is_left_out(volume: tuple[Volumes, str, Path]) -> None:
    volumes, key, folder = volume
    for name in "abc":
        (folder / name).mkdir()
        (folder / name / "f").touch()
    entries = volumes.entries(key, "/", recursive=True)
    assert next(entries).path == "a"
    (folder / "a/f").unlink()
    (folder / "a").rmdir()
    (folder / "b").rename(folder / "moved")
    assert [entry.path for entry in entries] == ["c", "c/f"]


def test_folders_too_deep_for_a_path_are_named_and_can_be_removed(
    volume: tuple[Volumes, str, Path],
) -> None:
    volumes, key, folder = volume
    (folder / "job").mkdir()
    dig(folder / "job")
    with pytest.raises(InvalidError, match="too deep"):
        list(volumes.entries(key, "/job", recursive=True))
    volumes.remove(key, "/job", recursive=True)
    assert list(volumes.entries(key, "/", recursive=True)) == []


def test_what_a_sandbox_left_goes_however_deep_and_without_permissions(tmp_path: Path) -> None:
    tree = tmp_path / "root"
    tree.mkdir()
    dig(tree, mode=0)
    remove_tree(tree)
    assert list(tmp_path.iterdir()) == []


def test_no_link_is_followed_where_folders_are_removed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/kept").touch()
    tree = tmp_path / "tree"
    tree.mkdir()
    dig(tree)
    (tree / "link").symlink_to(tmp_path / "outside")
    remove_shared_tree(tree)
    assert [path.name for path in tmp_path.rglob("*")] == ["outside", "kept"]


@pytest.mark.parametrize("instead", ["link", "folder link", "pipe", "nothing"])
def test_a_file_is_not_read_through_what_takes_its_place(
    volume: tuple[Volumes, str, Path],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    instead: str,
) -> None:
    """A sandbox may act in the moment between the look at a path and its opening."""
    volumes, key, folder = volume
    (folder / "sub").mkdir()
    path = folder / "sub/f"
    path.write_text("mine")
    (tmp_path / "f").write_text("somebody else's")
    looked_at = volumes.file

    def file(volume_id: str, name: str) -> Path:
        found = looked_at(volume_id, name)
        path.unlink()
        match instead:
            case "link":
                path.symlink_to(tmp_path / "f")
            case "folder link":
                path.parent.rmdir()
                path.parent.symlink_to(tmp_path)
            case "pipe":
                os.mkfifo(path)
            case _:
                pass
        return found

    with volumes.open(key, "sub/f") as opened:
        assert opened.read() == b"mine"
    monkeypatch.setattr(volumes, "file", file)
    with pytest.raises((InvalidError, NotFoundError)):
        volumes.open(key, "sub/f")
