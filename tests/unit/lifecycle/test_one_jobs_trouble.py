"""What goes wrong with one job, or what one job makes go wrong, leaves all others as they are."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from support.engine import wait_until
from trebuchet.status import JobState, Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.bench import Bench

FORGED = (
    "N=$(printf 'trebuchet marker %s' \"${SKYPILOT_TASK_ID#trebuchet-}\" | sha256sum | cut -c1-16); "
    "python3 -c \"print('[trebuchet:$N] end=' + '9' * 5000)\" >&2; exit 3"
)


def test_a_job_that_forges_an_endless_exit_code_ends_with_its_own(bench: Bench) -> None:
    forger = bench.ended(bench.up(FORGED))
    assert (forger.state, forger.reason, forger.exit_code) == (JobState.FAILED, Reason.EXIT, 3)


def test_a_job_whose_row_is_damaged_does_not_stop_the_others(bench: Bench) -> None:
    damaged, healthy = bench.up("exit 3"), bench.up("exit 4")
    wait_until(lambda: bench.running() == [])
    with _damaged(bench, damaged.key):
        found = {one.key: one for one in bench.launcher.status("local", bench.cluster)["local"]}
        assert (found[healthy.key].state, found[healthy.key].exit_code) == (JobState.FAILED, 4)
        assert "cannot be looked up" in json.loads(found[damaged.key].metadata)["stale_why"]
    assert bench.ended(damaged).exit_code == 3


@contextmanager
def _damaged(bench: Bench, key: str) -> Iterator[None]:
    with closing(sqlite3.connect(bench.home / "ledger.sqlite3", isolation_level=None)) as connection:
        [(whole,)] = connection.execute("SELECT candidates FROM recipes WHERE key = ?", (key,))
        write = "UPDATE recipes SET candidates = ? WHERE key = ?"
        connection.execute(write, ("[", key))
        try:
            yield
        finally:
            connection.execute(write, (whole, key))


def test_a_secret_that_cannot_be_deleted_holds_no_job_up_and_is_deleted_later(bench: Bench) -> None:
    bench.engine.set_faults({"call": "SecretDelete", "action": "refuse", "status": "PERMISSION_DENIED"})
    kept = bench.ended(bench.up("exit 3", gpu="H100", envs={"WORD": "canary-value"}))
    assert kept.exit_code == 3
    assert bench.ended(bench.up("exit 4")).exit_code == 4
    assert "stale_why" not in json.loads(bench.launcher.find(kept.key).metadata)
    assert bench.launcher.job(kept.key).secret is not None
    bench.engine.set_faults()
    bench.launcher.status("local", bench.cluster)
    assert bench.launcher.job(kept.key).secret is None
