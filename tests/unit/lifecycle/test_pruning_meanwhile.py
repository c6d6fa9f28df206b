"""A job that is pruned while somebody waits for it, or looks at it, has ended: nobody fails over it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from trebuchet.errors import JobNotFoundError
from trebuchet.launcher import Launcher
from trebuchet.lifecycle.reconcile import reconcile

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.bench import Bench


@dataclass
class BusyClock:
    """The system's clock, by which others act in each pause."""

    act: Callable[[], object]

    def now(self) -> float:
        return time.time()

    def sleep(self, seconds: float) -> None:
        del seconds
        self.act()


def _end_and_prune(bench: Bench, key: str) -> None:
    if bench.launcher.contexts.ledger.job(key) is not None:
        bench.launcher.cancel(key)
        assert bench.launcher.contexts.ledger.prune([key]) == [key]


def test_who_waits_for_it_is_told(bench: Bench) -> None:
    status = bench.up("sleep 60", name="train")
    waiting = Launcher(bench.launcher.settings, clock=BusyClock(lambda: _end_and_prune(bench, status.key)))
    with pytest.raises(JobNotFoundError, match="train was pruned while it was waited for"):
        waiting.wait([status.key], timeout=30)
    waiting.close()


def test_it_counts_as_ended_for_who_waits_for_any(bench: Bench) -> None:
    goes, stays = bench.up("sleep 60", name="goes"), bench.up("sleep 60", name="stays")
    waiting = Launcher(bench.launcher.settings, clock=BusyClock(lambda: _end_and_prune(bench, goes.key)))
    with pytest.raises(JobNotFoundError, match="goes"):
        waiting.wait([goes.key, stays.key], any_one=True, timeout=30)
    waiting.close()
    bench.launcher.cancel(stays.key)


def test_who_looks_at_it_with_what_was_read_before_fails_over_nothing(bench: Bench) -> None:
    status = bench.up("sleep 60")
    read_before = bench.launcher.job(status.key)
    _end_and_prune(bench, status.key)
    assert reconcile(bench.launcher.contexts.of("local"), [read_before]) == {}


def test_what_it_was_made_from_is_not_found(bench: Bench) -> None:
    with pytest.raises(JobNotFoundError):
        bench.launcher.contexts.ledger.recipe("never-was")
