"""Each test here runs on every cloud: on `local` always, on `modal` where a token is in the environment."""

from __future__ import annotations

import os
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from support.engine import make_shared_base
from trebuchet.engines import engine_for
from trebuchet.engines.modal import SdkEngine
from trebuchet.sandbox import SandboxSpec
from trebuchet.settings import Settings
from trebuchet.status import JobState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from trebuchet.engines.base import Observation

DEADLINE_S = {"local": 30.0, "modal": 600.0}


def clouds() -> list[str]:
    return ["local", *(["modal"] if os.environ.get("MODAL_TOKEN_ID") else [])]


@dataclass
class Bench:
    """An engine, and what the tests do with it again and again.

    Attributes:
        engine: The engine under test.
        settings: What it was made with.
        mark: Unique to this bench; part of every tag and name.
        made: Every sandbox created, to be ended afterwards.
    """

    engine: SdkEngine
    settings: Settings
    mark: str = field(default_factory=lambda: uuid.uuid4().hex[:10])
    made: list[str] = field(default_factory=list)

    @property
    def cloud(self) -> str:
        return self.engine.cloud

    def create(self, *argv: str, **options: object) -> str:
        options.setdefault("timeout_s", 60)
        tags = {"trebuchet-test": self.mark, **options.pop("tags", {})}  # pyright: ignore
        sandbox_id = self.engine.create(SandboxSpec(argv=argv, tags=tags, **options))  # pyright: ignore
        self.made.append(sandbox_id)
        return sandbox_id

    def shell(self, script: str, **options: object) -> str:
        return self.create("bash", "-c", script, **options)

    def until(self, ready: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + DEADLINE_S[self.cloud]
        while not ready():
            assert time.monotonic() < deadline, f"{what} did not happen in time"
            time.sleep(0.02 if self.cloud == "local" else 1.0)

    def wait(self, sandbox_id: str) -> Observation:
        seen: list[Observation] = []

        def ended() -> bool:
            seen.append(self.engine.poll(sandbox_id))
            return seen[-1].state.is_final

        self.until(ended, f"the end of {sandbox_id}")
        return seen[-1]

    def text(self, sandbox_id: str, **options: object) -> str:
        """All it printed, once it has ended."""
        return "".join(entry.message for entry in self.engine.logs(sandbox_id, follow=True, **options))  # pyright: ignore

    def output(self, script: str, **options: object) -> str:
        """What a script prints; it must succeed."""
        sandbox_id = self.shell(script, **options)
        text = self.text(sandbox_id)
        seen = self.wait(sandbox_id)
        assert seen.state is JobState.SUCCEEDED, f"{seen}: {text}"
        return text

    def end_all(self) -> None:
        for sandbox_id in self.made:
            self.engine.terminate(sandbox_id)
        self.made.clear()


@pytest.fixture(scope="module", autouse=True)
def _pretend_gpus() -> Iterator[None]:
    # For these tests alone: what others of the same worker ask for would replace an engine told otherwise.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TREBUCHET_LOCAL_GPUS", "8xH100")
        yield


@pytest.fixture(scope="session")
def engines(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[str], tuple[SdkEngine, Settings]]]:
    made: dict[str, tuple[SdkEngine, Settings]] = {}
    make_shared_base()

    def engine(cloud: str) -> tuple[SdkEngine, Settings]:
        if cloud not in made:
            made[cloud] = make_engine(cloud, tmp_path_factory.mktemp("home"))
        return made[cloud]

    yield engine
    for found, settings in made.values():
        found.close()
        stop_daemon(settings)


def make_engine(cloud: str, home: Path) -> tuple[SdkEngine, Settings]:
    settings = Settings(home=home, app_name="trebuchet-conformance")
    engine = engine_for(cloud, settings)
    assert isinstance(engine, SdkEngine)
    return engine, settings


def stop_daemon(settings: Settings) -> None:
    from trebuchet.emulator import daemon

    daemon.stop(settings.home / "local")


@pytest.fixture(params=clouds())
def bench(
    request: pytest.FixtureRequest, engines: Callable[[str], tuple[SdkEngine, Settings]]
) -> Iterator[Bench]:
    bench = Bench(*engines(request.param))
    yield bench
    bench.end_all()


@pytest.fixture
def own_bench(engines: Callable[[str], tuple[SdkEngine, Settings]]) -> Iterator[Bench]:
    """A client of the test's own on the local engine, whose daemon it may kill at will: the state stays."""
    bench = Bench(*make_engine("local", engines("local")[1].home))
    yield bench
    bench.end_all()
    bench.engine.close()
