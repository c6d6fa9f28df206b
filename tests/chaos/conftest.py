from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.bench import ENVIRONMENT, Bench, bench_at

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A bench for children that are killed; each works under a key of its own."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        with bench_at(tmp_path_factory.mktemp("chaos")) as bench:
            yield bench
