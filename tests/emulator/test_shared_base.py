"""Engines that have what their sandboxes stand on in common."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from support.engine import local_engine
from support.ordinary_user import NOBODY
from trebuchet.emulator import daemon
from trebuchet.emulator.errors import EmulatorError

if TYPE_CHECKING:
    from pathlib import Path


def layers(folder: Path) -> set[str]:
    return {entry.name.partition("-")[0] for entry in folder.glob("*-*") if entry.is_dir()}


def test_two_engines_make_it_once_and_neither_has_a_copy(tmp_path: Path) -> None:
    base, made = tmp_path / "base", []
    for name in ("one", "another"):
        with local_engine(tmp_path / name, env={"TREBUCHET_LOCAL_BASE": str(base)}) as engine:
            assert engine.run("python3", "-c", "print('ran')") == (0, "ran\n")
        assert "python" not in layers(tmp_path / name / "process")
        made.append({entry.name: entry.stat().st_ino for entry in base.iterdir()})
    assert made[0] == made[1]
    assert base.stat().st_mode & 0o077 == 0


def test_without_one_an_engine_has_its_own(tmp_path: Path) -> None:
    with local_engine(tmp_path, env={"TREBUCHET_LOCAL_BASE": ""}) as engine:
        assert engine.run("python3", "-c", "print('ran')") == (0, "ran\n")
    assert "python" in layers(tmp_path / "process") or "seeds" in layers(tmp_path / "process")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_one_that_belongs_to_somebody_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tmp_path / "base"
    base.mkdir()
    os.chown(base, NOBODY, NOBODY)
    monkeypatch.setenv("TREBUCHET_LOCAL_BASE", str(base))
    with pytest.raises(EmulatorError, match="belongs to somebody else"):
        daemon.ensure(tmp_path / "state")
    assert not daemon.running(tmp_path / "state")


def test_one_that_is_open_to_others_is_refused_and_left_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tmp_path / "base"
    base.mkdir()
    base.chmod(0o1777)
    monkeypatch.setenv("TREBUCHET_LOCAL_BASE", str(base))
    with pytest.raises(EmulatorError, match="is open to others"):
        daemon.ensure(tmp_path / "state")
    assert base.stat().st_mode & 0o7777 == 0o1777


def test_one_that_cannot_be_made_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TREBUCHET_LOCAL_BASE", str(tmp_path / "file" / "base"))
    with pytest.raises(EmulatorError, match="cannot be used"):
        daemon.ensure(tmp_path / "state")
