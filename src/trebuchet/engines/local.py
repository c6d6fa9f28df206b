"""The local engine as a cloud: the same client at an address on loopback; starts the daemon when needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trebuchet.engines.base import Identity
from trebuchet.engines.modal.access import Credentials, Pace
from trebuchet.engines.modal.engine import SdkEngine

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trebuchet.settings import Settings

ENVIRONMENT = "local"
"""The SDK remembers settings by the environment's name, for all control planes of a process alike: this one
must differ from any of Modal's."""


class LocalAccess:
    """The daemon of one state directory."""

    cloud = "local"
    pace = Pace(interval_s=0.2, settle_s=0.0, patience_s=20.0)
    renewable = True

    def __init__(self, settings: Settings) -> None:
        self._state = settings.home / "local"

    def current(self) -> Credentials:
        from trebuchet.emulator import daemon  # noqa: PLC0415 - heavy

        endpoint = daemon.ensure(self._state)
        return Credentials(endpoint.url, endpoint.token_id, endpoint.token_secret, ENVIRONMENT)

    def known(self) -> Credentials | None:
        return self.current() if self._has_state() else None

    def _has_state(self) -> bool:
        return self._state.is_dir() and any(self._state.iterdir())

    def identity(self) -> Identity:
        # The port changes from daemon to daemon; what they know lies in the folder.
        return Identity(str(self._state), "local", ENVIRONMENT)

    def dashboard_url(self, sandbox_id: str) -> None:
        del sandbox_id


class LocalEngine(SdkEngine):
    """Sandboxes on this machine."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, LocalAccess(settings))

    def machine(self) -> Mapping[str, int]:
        """The machine's GPUs: how many of each name."""
        from trebuchet.emulator import machine  # noqa: PLC0415 - asks the driver

        return machine.gpus()
