"""The local engine as a cloud: the same client at an address on loopback; starts the daemon when needed."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from trebuchet.emulator import daemon, machine
from trebuchet.emulator.errors import EmulatorError
from trebuchet.emulator.loopback import LOOPBACK_NAMES
from trebuchet.engines.base import Identity, Usage
from trebuchet.engines.modal.access import Credentials, Pace
from trebuchet.engines.modal.engine import SdkEngine
from trebuchet.errors import LocalEngineError
from trebuchet.status import JobState

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
    from pathlib import Path

    from trebuchet.engines.base import Observation
    from trebuchet.sandbox import SandboxSpec
    from trebuchet.settings import Settings

ENVIRONMENT = "local"
"""The SDK remembers settings by the environment's name, for all control planes of a process alike: this one
must differ from any of Modal's."""

_ROOM_BYTES = 32 << 20
_ROOM_AT_FIRST_BYTES = 192 << 20
"""Below that no launch is begun. The first makes layers that all sandboxes share: 133 MiB on Debian 12."""


class LocalAccess:
    """The daemon of one state directory."""

    cloud = "local"
    pace = Pace(interval_s=0.1, settle_s=0.0, patience_s=20.0)
    renewable = True

    def __init__(self, settings: Settings) -> None:
        self._state = settings.home / "local"

    def current(self) -> Credentials:
        with _told_as_ours():
            return _credentials(daemon.ensure(self._state))

    def known(self) -> Credentials | None:
        if endpoint := daemon.running(self._state):
            return _credentials(endpoint)
        was_used = self._state.is_dir() and any(self._state.iterdir())
        return self.current() if was_used else None

    def identity(self) -> Identity:
        # The port changes from daemon to daemon; what they know lies in the folder.
        return Identity(str(self._state), "local", ENVIRONMENT)

    def dashboard_url(self, sandbox_id: str) -> None:
        del sandbox_id


def _credentials(endpoint: daemon.Endpoint) -> Credentials:
    return Credentials(
        endpoint.url,
        endpoint.token_id,
        endpoint.token_secret,
        ENVIRONMENT,
        memory_is_a_limit=True,
        is_this_machine=True,
    )


class LocalEngine(SdkEngine):
    """Sandboxes on this machine, which cost nothing."""

    knows_costs = False

    def prices(self, specs: Sequence[SandboxSpec]) -> list[float | None]:
        return [0.0] * len(specs)

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, LocalAccess(settings))
        self._state = settings.home / "local"

    def require_answer(self) -> None:
        there = next(path for path in (self._state, *self._state.parents) if path.exists())
        free = shutil.disk_usage(there).free
        if free < (_ROOM_BYTES if (self._state / "process").exists() else _ROOM_AT_FIRST_BYTES):
            raise LocalEngineError(
                f"The disk is full: {free >> 20} MiB are left where the local engine keeps its state.",
                hint=f"Free some at {there}, or set TREBUCHET_HOME elsewhere.",
            )
        super().require_answer()

    def is_asleep(self) -> bool:
        return daemon.running(self._state) is None

    def poll(self, sandbox_id: str) -> Observation:
        seen = super().poll(sandbox_id)
        if seen.state.is_final:
            return seen
        reason = self.queued().get(sandbox_id)
        if reason is None:  # It has what it waited for, and runs or is being started.
            return replace(seen, state=JobState.RUNNING, waiting_for=None)
        return replace(seen, state=JobState.PENDING, waiting_for=reason)

    def usage(self, sandbox_id: str) -> Usage | None:
        # They run here: no command in the sandbox is needed.
        from trebuchet.emulator.consumption import consumption  # noqa: PLC0415 - for the live table alone

        found = consumption(self._state, sandbox_id)
        return None if found is None else Usage(at=found.at, cpu_s=found.cpu_s, memory=found.memory)

    def queued(self) -> Mapping[str, str]:
        endpoint = daemon.running(self._state)
        return daemon.waiting(endpoint) if endpoint else {}

    def machine(self) -> Mapping[str, int]:
        """The machine's GPUs: how many of each name.

        Raises:
            LocalEngineError: What was declared about them cannot be read.
        """
        with _told_as_ours():
            return machine.gpus()

    def programs(self, names: Iterable[str]) -> frozenset[str]:
        """Which of these commands sandboxes find on this machine."""
        return machine.programs(names)

    def has_package_lists(self) -> bool:
        """Whether Debian's package manager knows of packages here without asking anybody."""
        return machine.has_package_lists()


class LocalDaemon:
    """The daemon itself, for those who look after it rather than run jobs on it.

    Attributes:
        state: Where all of the engine's state is.
    """

    def __init__(self, settings: Settings, *, state: Path | None = None) -> None:
        """Know where it keeps its state.

        Args:
            settings: Say where that is for the cloud `local`.
            state: Another directory, of an engine that is not that cloud's.
        """
        self.state = (state or settings.home / "local").absolute()
        self._stands_alone = state is not None

    def running(self) -> tuple[int, str] | None:
        """Its process and its address; None where none runs. Starts nothing."""
        endpoint = daemon.running(self.state)
        return None if endpoint is None else (endpoint.pid, endpoint.url)

    def stop(self) -> bool:
        """End it; sandboxes run on. Whether there was one.

        Raises:
            LocalEngineError: It does not go.
        """
        with _told_as_ours():
            return daemon.stop(self.state)

    def log_path(self) -> Path:
        """Its own log, which may not exist yet."""
        return daemon.log_path(self.state)

    def variables(self) -> dict[str, str]:
        """What points any program that uses the SDK at it, the token included; starts it where none runs.

        Raises:
            LocalEngineError: It cannot be started.
        """
        with _told_as_ours():
            return _variables(daemon.ensure(self.state))

    def serve(self, *, port: int | None, on_ready: Callable[[dict[str, str]], None]) -> None:
        """Be the engine, in this process, until a signal ends it; its sandboxes run on.

        Args:
            port: On loopback; None for that of the last one here, or any.
            on_ready: Told the variables that point programs at it, as soon as it answers.

        Raises:
            LocalEngineError: Another process serves this state, or the port is taken.
        """
        from trebuchet.emulator.server import serve  # noqa: PLC0415 - heavy

        with _told_as_ours():
            serve(
                self.state,
                port=port,
                idle_timeout_s=0.0,
                on_ready=lambda endpoint: on_ready(_variables(endpoint)),
                # What stands in for Modal does with volumes as Modal does; jobs' volumes are never copied.
                sharing="isolated" if self._stands_alone else "shared",
            )

    def reclaimable(self, *, older_than_s: float, volumes: bool) -> list[dict[str, object]]:
        """What of the disk can be had back; starts a daemon where none runs.

        Each has `kind`, `id`, `size` in bytes and `why`. Nothing that is alive is among it.

        Args:
            older_than_s: Of what may be wanted again, only what is older.
            volumes: Also volumes that nothing alive has and nobody changed since.

        Raises:
            LocalEngineError: The daemon cannot be started, or could not do it.
        """
        with _told_as_ours():
            endpoint = daemon.ensure(self.state)
            return daemon.reclaimable(endpoint, older_than_s=older_than_s, volumes=volumes)

    def reclaim(self, *, older_than_s: float, volumes: bool) -> list[dict[str, object]]:
        """Remove what `reclaimable` tells; what went.

        Raises:
            LocalEngineError: The daemon cannot be started, or could not do it.
        """
        with _told_as_ours():
            endpoint = daemon.ensure(self.state)
            return daemon.reclaim(endpoint, older_than_s=older_than_s, volumes=volumes)

    def limits(self) -> str:
        """What a sandbox's limits rest on here, in words; empty where the kernel holds them all."""
        from trebuchet.emulator.process.cgroups import NOT_HELD, find_cgroups  # noqa: PLC0415 - heavy

        return "" if find_cgroups() else NOT_HELD

    def isolation(self) -> tuple[str, tuple[str, ...]]:
        """How sandboxes are kept apart from this machine, and what they miss by it, a sentence each."""
        from trebuchet.emulator.process.isolation import find_isolation  # noqa: PLC0415 - heavy

        found = find_isolation(self.state)
        return (f"{found.mode} ({found.program})" if found.program else found.mode), found.missing


def _variables(endpoint: daemon.Endpoint) -> dict[str, str]:
    return {
        "MODAL_SERVER_URL": endpoint.url,
        "MODAL_TOKEN_ID": endpoint.token_id,
        "MODAL_TOKEN_SECRET": endpoint.token_secret,
        "MODAL_ENVIRONMENT": ENVIRONMENT,
        **_past_the_proxy(),
    }


def _past_the_proxy() -> dict[str, str]:
    """Where a proxy is set, the SDK would look for loopback behind it, and hang."""
    if not any(os.environ.get(name) for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")):
        return {}
    known = (os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or "").split(",")
    names = ",".join(dict.fromkeys([*filter(None, known), *LOOPBACK_NAMES]))
    return {"NO_PROXY": names, "no_proxy": names}


@contextmanager
def _told_as_ours() -> Generator[None]:
    """The engine's own error, which knows nothing of Trebuchet, as one of ours."""
    try:
        yield
    except EmulatorError as error:
        raise LocalEngineError(error.message, hint=error.hint or None) from error
