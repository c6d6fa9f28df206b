"""A disk that is full costs the archive, not the reader."""

from __future__ import annotations

import multiprocessing
import random
import resource
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

_ROOM = 3 << 20


def test_a_follower_reads_on_and_the_next_one_archives(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=_read_without_room, args=(tmp_path,))
    process.start()
    process.join(60)
    assert process.exitcode == 0
    log = _log(tmp_path, [])
    position, complete = log.archive.survey()
    assert position is not None
    assert not complete
    assert [one.entry for one in log.read(follow=True)] == _entries()
    assert list(log.archive.read()) == _entries()
    assert log.archive.survey().complete


def _read_without_room(folder: Path) -> None:
    """A limit on the size of files stands for the full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (_ROOM, resource.RLIM_INFINITY))
    told: list[str] = []
    log = _log(folder, told)
    assert [one.entry for one in log.read(follow=True)] == _entries()
    assert len(told) == 1, told
    assert "not archived" in told[0]
    with pytest.raises(OSError, match="large"):
        replace(log, ended=True).keep(until=START)


def _log(folder: Path, told: list[str]) -> AttemptLog:
    engine = cast("Engine", LogKeeper(_entries()))
    return AttemptLog(
        number=1, engine=engine, sandbox_id="sb-x", archive=Archive(folder / "1"), tell=told.append
    )


def _entries() -> list[LogEntry]:
    """More than there is room for, however it is compressed."""
    chance = random.Random(1)
    texts = (chance.randbytes(32_000).hex() for _ in range(160))
    return [
        LogEntry(START + timedelta(seconds=number), "stdout", text + "\n")
        for number, text in enumerate(texts)
    ]
