"""A sandbox whose id was learnt long after it was made, because the process that launched it died."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from support.bench import Bench


def test_its_log_is_read_from_the_beginning(bench: Bench) -> None:
    done = bench.ended(bench.up("echo first"))
    ledger = bench.launcher.contexts.ledger
    [attempt] = ledger.attempts(done.key)
    ledger.no_capacity(attempt, candidate=attempt.candidate, gpu=None, at=time.time())  # It is not known yet.
    ledger.created(attempt, done.id, at=time.time() + 3_600)
    assert [entry.message for entry in bench.another().logs(done.key)] == ["first\n"]
    assert [entry.message for entry in bench.another().logs(done.key, follow=True)] == ["first\n"]
