from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.engine import Engine, local_engine

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine with two pretended H100s and an A100, for tests that leave it as they found it."""
    with local_engine(
        tmp_path_factory.mktemp("engine"), env={"TREBUCHET_LOCAL_GPUS": "2xH100,1xA100-80GB"}
    ) as made:
        yield made


@pytest.fixture
def own_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine for one test, that may kill it."""
    with local_engine(tmp_path_factory.mktemp("own-engine"), env={"TREBUCHET_LOCAL_GPUS": "1xH100"}) as made:
        yield made
