from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from support.bench import ENVIRONMENT, Bench, bench_at

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def _shared_bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench_at(tmp_path_factory.mktemp("lifecycle")) as bench:
        yield bench


@pytest.fixture
def bench(_shared_bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """A bench shared with other tests of this process, with a cluster of its own."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    yield replace(_shared_bench, cluster=f"c-{uuid4().hex[:8]}")
    _shared_bench.engine.set_faults()
    _shared_bench.engine.hold_gpus()


@pytest.fixture
def own_bench(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """A bench for one test alone."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    with bench_at(tmp_path_factory.mktemp("own")) as bench:
        yield bench
