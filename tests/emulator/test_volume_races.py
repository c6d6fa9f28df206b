"""Volumes in which a sandbox is at work while they are listed and removed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trebuchet.emulator.process.removal import remove_tree
from trebuchet.emulator.world.errors import InvalidError
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
    entries = volumes.files(key).entries("/", recursive=True)
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
    with pytest.raises(InvalidError, match="deep"):
        list(volumes.files(key).entries("/job", recursive=True))
    volumes.files(key).remove("/job", recursive=True)
    assert list(volumes.files(key).entries("/", recursive=True)) == []


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
    remove_tree(tree)
    assert [path.name for path in tmp_path.rglob("*")] == ["outside", "kept"]
