"""No call to a keeper is lost while it leaves: it is heard, or whoever called knows that nobody has."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, cast

import pytest

from trebuchet.keeper import process
from trebuchet.keeper.bell import Bell
from trebuchet.lifecycle import handoff

if TYPE_CHECKING:
    from pathlib import Path

    from trebuchet.keeper.work import Keeper


class Idle:
    """A keeper that has nothing to do, and counts its turns."""

    holding = False
    turns = 0

    def turn(self) -> float:
        self.turns += 1
        return 0.0


def test_a_keeper_that_is_called_as_it_is_about_to_leave_takes_another_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_IDLE_S", 0.0)
    take_down, called = Bell.take_down, list[bool]()

    def called_just_before(bell: Bell) -> bool:
        if not called:  # After the last look of its loop, and before it lets go of its lock.
            called.append(handoff._wake(tmp_path / "pipe"))
        return take_down(bell)

    monkeypatch.setattr(Bell, "take_down", called_just_before)
    keeper = Idle()
    with (tmp_path / "lock").open("w") as lock:
        process._work(cast("Keeper", keeper), Bell(tmp_path / "pipe"), lock)
    assert called == [True]
    assert keeper.turns == 2
    assert not (tmp_path / "pipe").exists()


def test_who_calls_a_keeper_that_has_looked_for_the_last_time_knows_that_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bell, write = Bell(tmp_path / "pipe"), os.write

    def too_late(descriptor: int, data: bytes) -> int:
        assert bell.take_down()
        return write(descriptor, data)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", too_late)  # The pipe was there when it was opened.
        assert not handoff._wake(tmp_path / "pipe")
    assert not handoff._wake(tmp_path / "pipe")


def test_a_call_is_heard_also_after_the_keeper_has_stayed(tmp_path: Path) -> None:
    bell = Bell(tmp_path / "pipe")
    assert handoff._wake(tmp_path / "pipe")
    assert not bell.take_down()
    assert not bell.wait(0)
    assert handoff._wake(tmp_path / "pipe")
    assert bell.wait(0)
    bell.ring()
    assert bell.wait(0)


def test_a_keeper_whose_folder_is_gone_makes_nothing_anew(tmp_path: Path) -> None:
    bell, keeper = Bell(tmp_path / "pipe"), Idle()
    with (tmp_path / "lock").open("w") as lock:
        (tmp_path / "lock").unlink()
        (tmp_path / "pipe").unlink()
        process._work(cast("Keeper", keeper), bell, lock)
    assert list(tmp_path.iterdir()) == []
