"""Rows to fill a ledger with."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest

from trebuchet.ledger import Attempt, Job, Ledger
from trebuchet.sandbox import SandboxSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_numbers = itertools.count(1)
SPEC = SandboxSpec(argv=("true",), env={"TOKEN": "canary-value"})


def make_job(key: str, **fields: Any) -> Job:
    attempt = {name: fields.pop(name) for name in ("gpu", "claim", "sandbox_id") if name in fields}
    values: dict[str, Any] = {
        "name": "job",
        "cluster": None,
        "cloud": "local",
        "app": "trebuchet",
        "profile": None,
        "environment": None,
        "control_plane": "here",
        "workspace": "local",
        "served_from": "local",
        "needs_values": False,
        "launch_until": 1e12,
        "submit_time": float(next(_numbers)),
        **fields,
    }
    current = Attempt(
        key=key,
        number=1,
        candidate=0,
        launch_tag=f"{key}.1",
        name=f"job-{key}-1",
        **{"gpu": None, **attempt},
    )
    return Job(key=key, current=current, **values)


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
