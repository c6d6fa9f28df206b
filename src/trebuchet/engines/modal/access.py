"""How an engine comes by the address and the token of its control plane."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from trebuchet.engines.modal.errors import TOKEN_HINT
from trebuchet.errors import AuthenticationError, UsageError

if TYPE_CHECKING:
    from trebuchet.engines.base import Identity
    from trebuchet.settings import Settings


@dataclass(frozen=True, slots=True)
class Credentials:
    """What opens a control plane.

    Attributes:
        server_url: One address, or several separated by commas, tried in turn.
        token_id: Names the token.
        token_secret: Proves it.
        environment: Within the workspace; empty for its default.
        memory_is_a_limit: Whether what a job asks for is also the most that it gets. A workstation has no
            more to lend; the service lets a job take more than it asked for.
        is_this_machine: Whether the default image is this machine's own system, which is nearly complete and
            may be offline: a job starts without what cannot be added to it.
    """

    server_url: str
    token_id: str
    token_secret: str = field(repr=False)
    environment: str = ""
    memory_is_a_limit: bool = False
    is_this_machine: bool = False


@dataclass(frozen=True, slots=True)
class Pace:
    """How a follower of logs asks.

    Attributes:
        interval_s: Seconds between two questions while nothing new comes.
        settle_s: How old an entry must be before it is given: until then an older one may still arrive.
        patience_s: How long a control plane may stay away before the follower gives up.
    """

    interval_s: float
    settle_s: float
    patience_s: float


class Access(Protocol):
    """The difference between the clouds: everything else is the same client.

    Attributes:
        cloud: `modal` or `local`.
        pace: Suited to the distance.
        renewable: Whether `current` brings a control plane back that has died.
    """

    cloud: str
    pace: Pace
    renewable: bool

    def current(self) -> Credentials:
        """Where to go now, having started what must be started."""
        ...

    def known(self) -> Credentials | None:
        """The same, but None where nothing was ever created and nothing has to be started to know that."""
        ...

    def identity(self) -> Identity | None:
        """Whose view the answers give, where that is known without asking."""
        ...

    def dashboard_url(self, sandbox_id: str) -> str | None:
        """Where a browser shows a sandbox."""
        ...


class ModalAccess:
    """Modal, with the token that its own configuration names."""

    cloud = "modal"
    pace = Pace(interval_s=1.0, settle_s=0.5, patience_s=120.0)
    renewable = False

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def current(self) -> Credentials:
        from modal.config import config, config_profiles  # noqa: PLC0415 - heavy

        profile = self._settings.profile
        if profile and profile not in config_profiles() and profile != os.environ.get("MODAL_PROFILE"):
            raise UsageError(
                f"Modal's configuration has no profile {profile!r}.", hint="`modal profile list`"
            )
        # A profile asked for by argument beats a token in the environment; Modal's own order holds otherwise.
        chosen = profile is not None and profile != os.environ.get("MODAL_PROFILE")
        token_id = config.get("token_id", profile=profile, use_env=not chosen)
        token_secret = config.get("token_secret", profile=profile, use_env=not chosen)
        if not token_id or not token_secret:
            raise AuthenticationError("There is no token for Modal.", hint=TOKEN_HINT)
        return Credentials(
            server_url=config.get("server_url", profile=profile),
            token_id=token_id,
            token_secret=token_secret,
            environment=self._settings.environment or config.get("environment", profile=profile) or "",
        )

    def known(self) -> Credentials:
        return self.current()

    def identity(self) -> None:
        """The token tells neither the workspace nor its default environment."""

    def dashboard_url(self, sandbox_id: str) -> str:
        return f"https://modal.com/id/{sandbox_id}"
