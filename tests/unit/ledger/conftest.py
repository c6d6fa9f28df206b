from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from support.rows import SPEC, make_job
from trebuchet.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from trebuchet.ledger import Job


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "ledger.sqlite3"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    ledger = Ledger(path)
    yield ledger
    ledger.close()


@pytest.fixture
def added(ledger: Ledger) -> Callable[..., Job]:
    """Write a job's intent, and give it as the ledger has it."""

    def add(key: str, **fields: Any) -> Job:
        assert ledger.add(make_job(key, **fields), {"name": "job"}, (SPEC,))
        job = ledger.job(key)
        assert job is not None
        return job

    return add
