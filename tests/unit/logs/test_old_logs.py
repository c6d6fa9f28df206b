"""Whoever reads the log of a job that ended long ago is told where it comes from, and what may be missing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, cast

import pytest

from support.logs import START, LogKeeper
from trebuchet.logs.archive import Archive
from trebuchet.logs.attempt import AttemptLog
from trebuchet.status import LogEntry

if TYPE_CHECKING:
    from pathlib import Path

    from trebuchet.engines.base import Engine

ENTRIES = [LogEntry(START + timedelta(seconds=n), "stdout", f"line {n}\n") for n in range(20)]


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def log(tmp_path: Path, told: list[str]) -> AttemptLog:
    """The log of an attempt that ended long ago, which nobody archived."""
    engine = cast("Engine", LogKeeper(ENTRIES))
    return AttemptLog(
        number=1, engine=engine, sandbox_id="sb-x", archive=Archive(tmp_path / "1"), tell=told.append,
        ended=True, old=True,
    )  # fmt: skip


def test_that_it_comes_from_the_archive(log: AttemptLog, told: list[str]) -> None:
    assert replace(log, old=False).keep(until=START)
    assert [one.entry for one in log.read(follow=False)] == ENTRIES
    assert [one.entry for one in log.read_tail(2)][-2:] == ENTRIES[-2:]
    assert ["from the archive" in one for one in told] == [True, True]


def test_that_some_of_what_nobody_archived_may_be_gone(log: AttemptLog, told: list[str]) -> None:
    assert [one.entry for one in log.read(follow=False)] == ENTRIES
    assert ["some of it may be gone" in one for one in told] == [True]
    told.clear()
    log.read_tail(2)
    assert ["some of it may be gone" in one for one in told] == [True]


def test_nothing_where_it_ended_lately(log: AttemptLog, told: list[str]) -> None:
    assert [one.entry for one in replace(log, old=False).read(follow=True)] == ENTRIES
    assert told == []
