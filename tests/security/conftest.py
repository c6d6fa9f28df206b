from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.engine import Engine, local_engine

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine that is attacked."""
    with local_engine(tmp_path_factory.mktemp("attacked"), env={"TREBUCHET_LOCAL_GPUS": ""}) as made:
        yield made
