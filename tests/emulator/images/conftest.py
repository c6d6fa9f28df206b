from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.registries import PROGRAM, WHY_NOT, Registry, run_registry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A real registry, shared: each test pushes under names of its own."""
    if PROGRAM is None:
        pytest.skip(WHY_NOT)
    with run_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "images"
