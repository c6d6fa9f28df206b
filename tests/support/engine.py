"""A local engine of one's own, for tests that drive it through the official SDK.

Its daemon stays until it is told to go: on a slow machine a test comes back after longer than others wait.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import modal
import pytest

from trebuchet.emulator import daemon
from trebuchet.emulator.endpoint import daemon_lives
from trebuchet.emulator.process.host import ProcessHost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

DEADLINE_S = 30.0


@dataclass
class Engine:
    """A running engine, and a client of it.

    Attributes:
        state: Its state directory.
        endpoint: Where it answers.
        client: The SDK's client.
        app: An app to create sandboxes in.
    """

    state: Path
    endpoint: daemon.Endpoint
    client: modal.Client
    app: modal.App
    env: Mapping[str, str] = field(default_factory=dict)
    image: modal.Image = field(default_factory=modal.Image.debian_slim)

    def create(self, *argv: str, **options: Any) -> modal.Sandbox:
        """A sandbox of this engine."""
        # The SDK's own default image is one object a process, and would carry its id from engine to engine.
        options.setdefault("image", self.image)
        return modal.Sandbox.create(*argv, app=options.pop("app", self.app), client=self.client, **options)

    def get(self, sandbox_id: str) -> modal.Sandbox:
        """A fresh handle."""
        return modal.Sandbox.from_id(sandbox_id, client=self.client)

    def listed(self, **tags: str) -> list[str]:
        """Ids of the unfinished sandboxes of the app."""
        found = modal.Sandbox.list(app_id=self.app.app_id, tags=tags, client=self.client)
        return [sandbox.object_id for sandbox in found]

    def run(self, *argv: str, **options: Any) -> tuple[int, str]:
        """Run a command to its end: its exit code and its output."""
        sandbox = self.create(*argv, **options)
        output = sandbox.stdout.read()
        sandbox.wait(raise_on_termination=False)
        return sandbox.returncode, output

    # ── what the SDK does not offer ──

    def calls(self) -> dict[str, int]:
        """How often each call was made since the last `clear_calls`."""
        return json.loads(self.ask("GET", "calls"))

    def clear_calls(self) -> None:
        """Count from nothing again."""
        self.ask("DELETE", "calls")

    def set_faults(self, *faults: Mapping[str, object]) -> None:
        """Let these things go wrong from now on, and nothing else."""
        self.ask("PUT", "faults", faults)

    def hold_gpus(self, **held: int) -> None:
        """Let so many GPUs of each type be had by others; none frees all."""
        self.ask("PUT", "gpus", held)

    def ask(self, method: str, what: str, body: object = None) -> bytes:
        """Use the daemon's own pages."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.endpoint.url}/_trebuchet/{what}", data=data, method=method)
        request.add_header("Authorization", f"Bearer {self.endpoint.token_secret}")
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
            request, timeout=DEADLINE_S
        ) as answer:
            return answer.read()

    # ── the daemon's life ──

    def kill(self) -> None:
        """End the daemon as a crash does, and wait until it is gone."""
        os.kill(self.endpoint.pid, signal.SIGKILL)
        wait_until(lambda: not daemon_lives(self.state))

    def start(self) -> None:
        """Start a daemon, if there is none, as a user of the engine does."""
        with _variables(self.env):
            self.endpoint = daemon.ensure(self.state, idle_timeout_s=0)


@contextmanager
def local_engine(state: Path, *, env: Mapping[str, str] | None = None) -> Iterator[Engine]:
    """An engine on a state directory; at the end its sandboxes and its daemon are ended.

    Args:
        state: The directory.
        env: Variables for the daemon, `TREBUCHET_LOCAL_GPUS` say.
    """
    env = dict(env or {})
    make_shared_base()
    with _variables(env):
        endpoint = daemon.ensure(state, idle_timeout_s=0)
    try:
        client = connect(endpoint)
        app = modal.App.lookup("tests", create_if_missing=True, client=client)
        engine = Engine(state, endpoint, client, app, env)
        try:
            yield engine
        finally:
            engine.start()
            end_sandboxes(engine)
            client.close()
    finally:
        daemon.stop(state)


def make_shared_base() -> None:
    """Make what the sandboxes of all engines stand on, so that nobody's deadline contains it."""
    if base := os.environ.get("TREBUCHET_LOCAL_BASE"):
        _make_base(Path(base))


@cache
def _make_base(base: Path) -> None:
    async def make() -> None:
        async with ProcessHost(Path(state), layers=base) as host:
            await host.isolation()

    with tempfile.TemporaryDirectory() as state:
        asyncio.run(make())


def connect(endpoint: daemon.Endpoint) -> modal.Client:
    """The SDK's client of an engine."""
    with _variables({"MODAL_SERVER_URL": endpoint.url}):
        return modal.Client.from_credentials(endpoint.token_id, endpoint.token_secret)


def end_sandboxes(engine: Engine) -> None:
    """End all that still runs."""
    engine.set_faults()
    for marker in (engine.state / "alive").iterdir():
        engine.get(marker.name).terminate()
    wait_until(lambda: not any((engine.state / "alive").iterdir()))


def wait_until(condition: Callable[[], object], seconds: float = DEADLINE_S) -> None:
    """Wait for something that is about to become true.

    Raises:
        AssertionError: It does not.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not become true in time"
        time.sleep(0.01)


@contextmanager
def _variables(env: Mapping[str, str]) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in env.items():
            patch.setenv(name, value)
        yield
