"""What one invocation of the command line works with."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trebuchet.launcher import Launcher
    from trebuchet.settings import Settings


class Session:
    """Options that every verb shares, and what is made from them when first needed.

    Attributes:
        debug: Whether errors show their traceback.
        profile: Modal's profile from the command line; None for the settings' own.
        environment: Modal's environment from the command line; None for the settings' own.
    """

    def __init__(self) -> None:
        self.debug = False
        self.profile: str | None = None
        self.environment: str | None = None

    @cached_property
    def settings(self) -> Settings:
        from trebuchet.settings import Settings  # noqa: PLC0415 - `--help` needs none

        chosen: dict[str, Any] = {"profile": self.profile, "environment": self.environment}
        return Settings(**{name: value for name, value in chosen.items() if value is not None})

    @cached_property
    def launcher(self) -> Launcher:
        from trebuchet.launcher import Launcher  # noqa: PLC0415 - opens the ledger

        return Launcher(self.settings)
