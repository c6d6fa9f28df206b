"""Apps and environments: names that group sandboxes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trebuchet.emulator.world.errors import NotFoundError
from trebuchet.emulator.world.ids import new_id
from trebuchet.emulator.world.shelf import Shelf

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT_ENVIRONMENT = "main"


@dataclass(frozen=True, kw_only=True)
class App:
    """A group of sandboxes."""

    id: str
    name: str
    environment: str
    created_at: float


class Apps:
    """All apps of this engine. Environments exist by being named."""

    def __init__(self, folder: Path) -> None:
        self._shelf = Shelf(folder, App, "App")
        self._by_name = {(app.environment, app.name): app for app in self._shelf}

    def all(self) -> list[App]:
        """Every app, by age."""
        return sorted(self._shelf, key=lambda app: app.created_at)

    def get(self, app_id: str) -> App:
        """The app of this id.

        Raises:
            NotFoundError: There is none.
        """
        return self._shelf.get(app_id)

    def find(self, name: str, environment: str) -> App:
        """The app of this name.

        Raises:
            NotFoundError: There is none.
        """
        app = self._by_name.get((environment or DEFAULT_ENVIRONMENT, name))
        if app is None:
            raise NotFoundError(
                f"App {name!r} does not exist in environment {environment or DEFAULT_ENVIRONMENT!r}."
            )
        return app

    def find_or_make(self, name: str, environment: str) -> App:
        """The app of this name, made if missing."""
        try:
            return self.find(name, environment)
        except NotFoundError:
            where = environment or DEFAULT_ENVIRONMENT
            app = self._shelf.put(App(id=new_id("ap"), name=name, environment=where, created_at=time.time()))
            self._by_name[where, name] = app
            return app
