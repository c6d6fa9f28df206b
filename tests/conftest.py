"""Where the tests keep their state: never in the developer's own. And what chance may do in them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# What would change where a job runs, or what a command says.
_FOREIGN = (
    "TREBUCHET_CLOUD",
    "TREBUCHET_APP",
    "TREBUCHET_TAG_PREFIX",
    "TREBUCHET_HF_CACHE",
    "TREBUCHET_LOCAL_GPUS",
)


# The same inputs each time, so that a change is judged by itself; `just proof` tries others.
settings.register_profile("seeded", derandomize=True, deadline=None)
settings.register_profile("random", deadline=None)
settings.load_profile(os.environ.get("TEST_INPUTS", "seeded"))


@pytest.fixture(scope="session", autouse=True)
def _private_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let nothing that a test does by default reach the state of whoever runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TREBUCHET_HOME", str(tmp_path_factory.mktemp("home-of-nobody")))
        for name in _FOREIGN:
            patch.delenv(name, raising=False)
        patch.setenv("NO_COLOR", "1")
        patch.setenv("TREBUCHET_LOCAL_BASE", str(_shared_by_workers(tmp_path_factory) / "base"))
        patch.setenv("TREBUCHET_ARCHIVE", "0")  # A process more for each home; its own tests turn it on.
        yield


def _shared_by_workers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A state folder with a local engine of its own, shared by the tests of a worker; gone at its end.

    What a test launches there it names uniquely, and it looks at nothing else.
    """
    from support.engine import make_shared_base

    make_shared_base()
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TREBUCHET_HOME", str(folder))
        yield folder
    stop_everything(folder)


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state folder for this test alone, in which nothing has ever happened."""
    from support.engine import make_shared_base

    make_shared_base()
    folder = tmp_path / "home"
    monkeypatch.setenv("TREBUCHET_HOME", str(folder))
    yield folder
    stop_everything(folder)


def stop_everything(home: Path) -> None:
    """End the jobs and the daemon of a state folder, if it has any."""
    from trebuchet.engines.local import LocalDaemon
    from trebuchet.launcher import Launcher
    from trebuchet.settings import Settings

    settings = Settings(home=home)
    if not any(os.scandir(home) if home.is_dir() else ()):
        return
    launcher = Launcher(settings)
    for job in launcher.jobs():
        if not job.done:
            launcher.cancel(job.key)
    launcher.close()
    LocalDaemon(settings).stop()
