"""The daemon's log has an end, whoever makes the daemon complain."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from trebuchet.emulator.daemon_log import LONGEST_RECORD, DaemonLog

if TYPE_CHECKING:
    from pathlib import Path

MOST = 10_000


def _logger(handler: logging.Handler) -> logging.Logger:
    logger = logging.Logger("tested")
    logger.addHandler(handler)
    return logger


def test_the_newest_is_kept_and_the_rest_is_told_by_its_size(tmp_path: Path) -> None:
    path = tmp_path / "daemon.log"
    with path.open("a") as stream:
        logger = _logger(DaemonLog(stream, path, most=MOST))
        for number in range(5000):
            logger.warning("record %d", number)
            assert path.stat().st_size <= MOST
    first, *records = path.read_text().splitlines()
    written = sum(len(f"record {number}\n") for number in range(5000))
    assert records == [f"record {number}" for number in range(5000 - len(records), 5000)]
    assert len(records) > 300
    dropped = int(first.removeprefix("(").split()[0])
    assert 0 < dropped < written
    assert first.endswith("bytes of older log were dropped here)")


def test_one_record_is_only_so_long(tmp_path: Path) -> None:
    path = tmp_path / "daemon.log"
    with path.open("a") as stream:
        _logger(DaemonLog(stream, path)).warning("x" * 1_000_000)
    assert (
        path.read_text()
        == "x" * LONGEST_RECORD + f"… ({1_000_000 - LONGEST_RECORD} characters are left out)\n"
    )


def test_what_is_no_log_of_the_daemons_is_left_as_it_is(tmp_path: Path) -> None:
    """Its standard error may be a file of somebody's who runs it in the foreground."""
    path = tmp_path / "mine"
    with path.open("a") as stream:
        logger = _logger(DaemonLog(stream, tmp_path / "daemon.log", most=MOST))
        for _ in range(2000):
            logger.warning("a record")
    assert path.stat().st_size == 2000 * len("a record\n")
