"""Fixtures for tests of code that uses Modal's sandboxes: an engine of their own, in place of the service.

Found by pytest through its entry point. Imports nothing heavy until a fixture is asked for.
"""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from trebuchet.emulator.loopback import LOOPBACK_NAMES

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from trebuchet.emulator.embedded import EmbeddedEngine

GPUS = "8xT4,8xL4,4xA10,8xL40S,8xA100-40GB,8xA100-80GB,8xRTX-PRO-6000,8xH100,8xH200,8xB200,8xB300"
"""What tests may ask for where `modal_server_gpus` says nothing else."""
ENVIRONMENT = "local"
FOLDER = "modal-server-"
"""What the names of the engines' folders begin with, among the files that are temporary."""


@dataclass(frozen=True)
class ModalServer:
    """A local engine that the environment points Modal's SDK at.

    Attributes:
        url: Where it answers.
        variables: What was set in the environment; pass it on to programs that do not inherit it.
    """

    url: str
    variables: Mapping[str, str] = field(repr=False)
    _engine: EmbeddedEngine = field(repr=False)

    def calls(self) -> dict[str, int]:
        """How often each call of Modal's protocol was made since the last `clear_calls`."""
        return self._engine.calls()

    def clear_calls(self) -> None:
        """Count from nothing again."""
        self._engine.clear_calls()

    def sandboxes(self) -> list[str]:
        """The ids of the sandboxes that have not ended."""
        return self._engine.alive()

    def set_faults(self, *faults: Mapping[str, object]) -> None:
        """Let these things go wrong from now on, and nothing else; see `fault`.

        Raises:
            ValueError: One of them could never happen: no call is served that fits its pattern, say.
        """
        self._engine.set_faults([dict(fault) for fault in faults])

    def hold_gpus(self, **held: int) -> None:
        """Let so many GPUs of each type be had by others (`H100=8`): who asks must wait. None frees all.

        Raises:
            InvalidError: There are not so many of a type.
        """
        self._engine.hold_gpus(held)

    @staticmethod
    def fault(
        call: str,
        action: Literal["delay", "refuse", "cut", "lose_answer"] = "refuse",
        *,
        status: str = "UNAVAILABLE",
        seconds: float = 0.0,
        times: int | None = None,
        after: int = 0,
    ) -> dict[str, object]:
        """One thing that goes wrong, for `set_faults`.

        Args:
            call: The name of a call, as `calls` tells it, or a pattern like `Sandbox*`.
            action: `delay` it, `refuse` it, `cut` the connection, or do it and never answer (`lose_answer`).
            status: The gRPC status of a refusal.
            seconds: How long to wait first.
            times: How often it goes wrong; None for always.
            after: How many such calls go right before.
        """
        return {
            "call": call,
            "action": action,
            "status": status,
            "seconds": seconds,
            "times": times,
            "after": after,
        }


_ONLY_SERVER = pytest.StashKey[ModalServer]()
"""The engine that the whole session is pointed at, where `modal_server_only` asks for it."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare what a project may set."""
    parser.addini(
        "modal_server_gpus", "the pretended GPUs of the engine for tests, like 8xH100,1xA100", default=GPUS
    )
    parser.addini(
        "modal_server_cache",
        "where what engines share is kept (default: the user's cache folder)",
        default="",
    )
    parser.addini(
        "modal_server_only",
        "whether the SDK is kept from any other server from the start on, while tests are collected too",
        type="bool",
        default=False,
    )


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Start the session's engine before any module of the project is imported, where that is wanted.

    What a module asks of the SDK as it is imported would else go to the user's own account.
    """
    if early_config.getini("modal_server_only"):
        until_the_end = ExitStack()
        try:
            early_config.stash[_ONLY_SERVER] = until_the_end.enter_context(_server(early_config))
        except Exception as error:
            raise pytest.UsageError(f"modal_server_only: {error}") from error
        early_config.add_cleanup(until_the_end.close)


@pytest.fixture(scope="session")
def modal_server(pytestconfig: pytest.Config) -> Generator[ModalServer]:
    """One engine for all tests of the session. Fast, and the SDK's objects stay good from test to test."""
    if _ONLY_SERVER in pytestconfig.stash:
        yield pytestconfig.stash[_ONLY_SERVER]
        return
    with _server(pytestconfig) as server:
        yield server


@pytest.fixture
def fresh_modal_server(pytestconfig: pytest.Config) -> Generator[ModalServer]:
    """An engine for one test, which nothing was ever asked of."""
    with _server(pytestconfig) as server:
        yield server


@contextmanager
def _server(config: pytest.Config) -> Generator[ModalServer]:
    from trebuchet.emulator.embedded import EmbeddedEngine  # noqa: PLC0415 - heavy, and for these fixtures alone

    _clear_abandoned()
    state = Path(tempfile.mkdtemp(prefix=FOLDER))
    engine = EmbeddedEngine(state, layers=_cache(config), gpus=str(config.getini("modal_server_gpus")))
    endpoint = engine.start()
    try:
        variables = {
            "MODAL_SERVER_URL": endpoint.url,
            "MODAL_TOKEN_ID": endpoint.token_id,
            "MODAL_TOKEN_SECRET": endpoint.token_secret,
            "MODAL_ENVIRONMENT": ENVIRONMENT,
        }
        with _environment(variables):
            yield ModalServer(endpoint.url, variables, engine)
    finally:
        engine.stop()


@cache
def _clear_abandoned() -> None:
    """Clear what tests left that were killed, and whose guards were killed as well."""
    from trebuchet.emulator.aftermath import clear_abandoned  # noqa: PLC0415 - as above

    clear_abandoned(Path(tempfile.gettempdir()), f"{FOLDER}*")


def _cache(config: pytest.Config) -> Path:
    if told := str(config.getini("modal_server_cache")):
        return config.rootpath / told
    from platformdirs import user_cache_path  # noqa: PLC0415 - as above

    return user_cache_path("trebuchet") / "layers"


@contextmanager
def _environment(variables: Mapping[str, str]) -> Generator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        for name in ("NO_PROXY", "no_proxy"):  # else the SDK would look for loopback behind a proxy
            patch.setenv(name, ",".join(filter(None, (os.environ.get(name), *LOOPBACK_NAMES))))
        _forget_client()
        try:
            yield
        finally:
            _forget_client()


def _forget_client() -> None:
    """Let the SDK connect anew: the client it keeps for a process would stay with another server."""
    modal: Any = sys.modules.get("modal")
    if modal is not None:
        modal.Client.from_env().close()
        _forget_default_images()


def _forget_default_images() -> None:
    """Let the SDK ask again for the images that it takes where no other is named.

    Each is one object a process, which keeps the id that the first server gave it. Where they are kept
    differs from version to version.
    """
    for name, module in list(sys.modules.items()):
        image: Any = vars(module).get("_default_image") if name.startswith("modal.") else None
        if getattr(image, "_is_hydrated", False):
            image._is_hydrated = False  # noqa: SLF001 - the SDK has no other way to say so
            image._object_id = None  # noqa: SLF001
