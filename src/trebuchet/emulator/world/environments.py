"""Environments: names under which apps, secrets and volumes live."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trebuchet.emulator.world.errors import (
    AlreadyExistsError,
    ConflictError,
    InvalidError,
    NotFoundError,
)
from trebuchet.emulator.world.ids import new_id
from trebuchet.emulator.world.shelf import Shelf

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT_ENVIRONMENT = "main"
ALWAYS_THERE = (DEFAULT_ENVIRONMENT, "local")
"""Modal's usual one, and the one that Trebuchet's own variables name."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, kw_only=True)
class Environment:
    """An environment."""

    id: str
    name: str
    created_at: float


class Environments:
    """All environments of this engine."""

    def __init__(self, folder: Path) -> None:
        self._shelf = Shelf(folder, Environment, "Environment")
        for name in ALWAYS_THERE:
            if self._named(name) is None:
                self._put(name)

    def all(self) -> list[Environment]:
        """Every environment, by name."""
        return sorted(self._shelf, key=lambda environment: environment.name)

    def find(self, name: str) -> Environment:
        """The environment of this name; of none, the default one.

        Raises:
            NotFoundError: There is none.
        """
        found = self._named(name or DEFAULT_ENVIRONMENT)
        if found is None:
            raise NotFoundError(f"Environment {name!r} does not exist.")
        return found

    def make(self, name: str) -> Environment:
        """Make an environment.

        Raises:
            AlreadyExistsError: There is one of this name.
            InvalidError: This is no name.
        """
        if not _NAME.fullmatch(name):
            raise InvalidError(f"{name!r} is no name for an environment: use up to 64 of A-Z a-z 0-9 . _ -")
        if self._named(name) is not None:
            raise AlreadyExistsError(f"Environment {name!r} already exists.")
        return self._put(name)

    def find_or_make(self, name: str) -> Environment:
        """The environment of this name, made if missing.

        Raises:
            InvalidError: This is no name.
        """
        return self._named(name or DEFAULT_ENVIRONMENT) or self.make(name)

    def check_removable(self, name: str) -> None:
        """Refuse to remove what is not there, or always is.

        Raises:
            NotFoundError: There is none.
            ConflictError: It is one that is always there.
        """
        if name in ALWAYS_THERE:
            raise ConflictError(f"Environment {name!r} is always there.")
        self.find(name)

    def remove(self, name: str) -> None:
        """Remove an environment; what is in it goes before.

        Raises:
            NotFoundError: There is none.
            ConflictError: It is one that is always there.
        """
        self.check_removable(name)
        self._shelf.drop(self.find(name).id)

    def _named(self, name: str) -> Environment | None:
        return next((found for found in self._shelf if found.name == name), None)

    def _put(self, name: str) -> Environment:
        return self._shelf.put(Environment(id=new_id("en"), name=name, created_at=time.time()))
