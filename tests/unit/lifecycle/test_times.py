"""When a job ran: since when its sandbox may have lived, and what its log cannot make of it."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import pytest

from support.engine import wait_until
from support.rows import make_job
from trebuchet.lifecycle.budget import used_s
from trebuchet.lifecycle.times import possible_beginning

if TYPE_CHECKING:
    from support.bench import Bench

FORGED = (
    "N=$(printf 'trebuchet marker %s' \"${SKYPILOT_TASK_ID#trebuchet-}\" | sha256sum | cut -c1-16); "
    'echo "[trebuchet:$N] end=3 phase=run began=WHEN" >&2; sleep 1; kill -9 $PPID; exit 3'
)
"""With the wrapper killed, what it would say last is not said."""


@pytest.mark.parametrize("when", ["9" * 150, "1", "99999999999"])
def test_a_time_that_a_job_forges_and_that_cannot_be_is_not_believed(bench: Bench, when: str) -> None:
    before = time.time()
    done = bench.ended(bench.up(FORGED.replace("WHEN", when)))
    assert done.start_at is not None
    assert done.end_at is not None
    assert before - 1 <= done.start_at <= done.end_at <= time.time() + 1


def test_a_beginning_lies_between_the_asking_and_the_end() -> None:
    job = make_job("k", submit_time=900.0)
    assert possible_beginning(job, 990.0, ended_at=1_000.0) == 990.0
    assert possible_beginning(job, 1_100.0, ended_at=1_000.0) == 1_000.0
    for impossible in (None, math.inf, 1e11, -1e6):
        assert possible_beginning(job, impossible, ended_at=1_000.0) is None


def test_a_sandbox_whose_id_is_learnt_late_has_used_its_time_since_it_was_asked_for(bench: Bench) -> None:
    status = bench.up("sleep 2; exit 3")
    ledger = bench.launcher.contexts.ledger
    wait_until(lambda: bench.running() == [])
    [known] = ledger.attempts(status.key)
    asked = known.asked_at
    assert asked is not None
    ledger.no_capacity(known, candidate=0, gpu=None, at=time.time())  # Its id is not known any more.
    ledger.asked(known, at=asked, allotted_s=known.allotted_s or 0)
    bench.ended(status)
    [attempt] = ledger.attempts(status.key)
    assert attempt.created_at == asked
    assert 1.5 <= used_s(attempt) < 20
