"""An open client of one control plane, and what need not be asked of it twice."""

from __future__ import annotations

import os
import threading
import time
from functools import cached_property
from typing import TYPE_CHECKING

import modal
from modal.exception import NotFoundError

from trebuchet.engines.modal.background import Background
from trebuchet.engines.modal.images import ImageShelf
from trebuchet.engines.modal.money import read_rates
from trebuchet.engines.modal.reach import require_reachable

if TYPE_CHECKING:
    from decimal import Decimal
    from pathlib import Path

    from trebuchet.engines.modal.access import Credentials

_ADDRESS_LOCK = threading.Lock()
_TRUSTED_FOR_S = 10.0


class Connection:
    """A client, and the app, volumes, secrets and images it has found already.

    Attributes:
        credentials: What it was opened with.
        client: To be handed to every call: the SDK would otherwise make one of its own.
        images: Those it has built.
        background: Where calls go on that nobody waits for yet.
    """

    def __init__(self, credentials: Credentials, app_name: str, state: Path) -> None:
        require_reachable(credentials.server_url)
        self.credentials = credentials
        self.client = _open_client(credentials)
        self._app_name = app_name
        self._state = state
        self._answered_at = time.monotonic()
        self._lock = threading.RLock()
        self._app: modal.App | None = None
        self._volumes: dict[str, modal.Volume] = {}
        self._looked_up: dict[str, modal.Volume] = {}
        self._secrets: dict[str, modal.Secret] = {}
        self.images = ImageShelf(self, self._state)
        self.background = Background()

    @property
    def environment(self) -> str:
        return self.credentials.environment

    @property
    def remembers(self) -> bool:
        """Whether an id is held that may have become stale."""
        return self._app is not None

    @cached_property
    def rates(self) -> dict[str, Decimal]:
        """The workspace's prices by name, asked for once."""
        return read_rates(self.client)

    @property
    def trusted(self) -> bool:
        """Whether the control plane answered a moment ago."""
        return time.monotonic() - self._answered_at <= _TRUSTED_FOR_S

    def require_answer(self) -> None:
        """Look whether the control plane is still there, if it has been silent for a while.

        Raises:
            ClusterUnreachableError: It is not.
        """
        if not self.trusted:
            require_reachable(self.credentials.server_url)

    def answered(self) -> None:
        self._answered_at = time.monotonic()

    def find_app(self) -> modal.App | None:
        """The app of the sandboxes, or None where it was never created."""
        with self._lock:
            if self._app is None:
                try:
                    self._app = self._look_up_app(create_if_missing=False)
                except NotFoundError:
                    return None
            return self._app

    def need_app(self) -> modal.App:
        """The app of the sandboxes, created if it is missing."""
        with self._lock:
            if self._app is None:
                self._app = self._look_up_app(create_if_missing=True)
            return self._app

    def _look_up_app(self, *, create_if_missing: bool) -> modal.App:
        return modal.App.lookup(
            self._app_name,
            client=self.client,
            environment_name=self.environment,
            create_if_missing=create_if_missing,
        )

    def volume(self, name: str, *, many_writers: bool = False) -> modal.Volume:
        """The volume of this name, created if it is missing."""
        with self._lock:
            if name not in self._volumes:
                # The first version takes five commits at a time; the second is made for many writers.
                volume = modal.Volume.from_name(
                    name,
                    environment_name=self.environment,
                    create_if_missing=True,
                    version=2 if many_writers else None,
                    client=self.client,
                )
                self._volumes[name] = volume.hydrate(self.client)
            return self._volumes[name]

    def look_up_volume(self, name: str) -> modal.Volume:
        """The volume of this name as it now is; the SDK raises NotFoundError where there is none."""
        volume = modal.Volume.from_name(name, environment_name=self.environment, client=self.client)
        volume.hydrate(self.client)
        with self._lock:
            self._looked_up[name] = volume
        return volume

    def looked_up_volume(self, name: str) -> modal.Volume:
        """The volume that was looked up last under this name; looked up where none was."""
        with self._lock:
            known = self._looked_up.get(name)
        return known or self.look_up_volume(name)

    def secret(self, name: str) -> modal.Secret:
        """The named secret; the SDK raises NotFoundError where there is none."""
        with self._lock:
            if name not in self._secrets:
                secret = modal.Secret.from_name(name, environment_name=self.environment, client=self.client)
                self._secrets[name] = secret.hydrate(self.client)
            return self._secrets[name]

    def forget_secret(self, name: str) -> None:
        with self._lock:
            self._secrets.pop(name, None)

    def forget(self) -> None:
        """Drop every id that was remembered: one of them is said not to exist any more."""
        with self._lock:
            self._app = None
            self._volumes.clear()
            self._looked_up.clear()
            self._secrets.clear()
            self.images = ImageShelf(self, self._state)

    def close(self) -> None:
        self.background.close()
        self.client.close()


def _open_client(credentials: Credentials) -> modal.Client:
    # The constructor takes no address: it reads this variable, and only while it runs.
    with _ADDRESS_LOCK:
        before = os.environ.get("MODAL_SERVER_URL")
        os.environ["MODAL_SERVER_URL"] = credentials.server_url
        try:
            return modal.Client.from_credentials(credentials.token_id, credentials.token_secret)
        finally:
            if before is None:
                del os.environ["MODAL_SERVER_URL"]
            else:
                os.environ["MODAL_SERVER_URL"] = before
