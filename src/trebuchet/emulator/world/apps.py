"""Apps: names that group sandboxes."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from trebuchet.emulator.world.errors import NotFoundError
from trebuchet.emulator.world.ids import new_id
from trebuchet.emulator.world.shelf import Shelf

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class App:
    """A group of sandboxes. An ephemeral one lives as long as the program that made it, and has no name."""

    id: str
    name: str
    environment: str
    created_at: float
    ephemeral: bool = False
    tags: dict[str, str] = field(default_factory=dict[str, str])


class Apps:
    """All apps of this engine."""

    def __init__(self, folder: Path) -> None:
        self._shelf = Shelf(folder, App, "App")
        self._by_name = {(app.environment, app.name): app for app in self._shelf if not app.ephemeral}
        self._endings: dict[str, asyncio.Event] = {}

    def within(self, environment: str) -> list[App]:
        """The apps of an environment, by age."""
        found = [app for app in self._shelf if app.environment == environment]
        return sorted(found, key=lambda app: app.created_at)

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
        app = self._by_name.get((environment, name))
        if app is None:
            raise NotFoundError(f"App {name!r} does not exist in environment {environment!r}.")
        return app

    def find_or_make(self, name: str, environment: str) -> App:
        """The app of this name, made if missing."""
        try:
            return self.find(name, environment)
        except NotFoundError:
            made = App(id=new_id("ap"), name=name, environment=environment, created_at=time.time())
            self._by_name[environment, name] = self._shelf.put(made)
            return made

    def make_ephemeral(self, description: str, environment: str) -> App:
        """Make an app for a program that runs."""
        return self._shelf.put(
            App(
                id=new_id("ap"),
                name=description,
                environment=environment,
                created_at=time.time(),
                ephemeral=True,
            )
        )

    def set_tags(self, app_id: str, tags: Mapping[str, str]) -> None:
        """Give an app these tags in place of all that it had.

        Raises:
            NotFoundError: There is no such app.
        """
        app = self._shelf.put(replace(self._shelf.get(app_id), tags=dict(tags)))
        if not app.ephemeral:
            self._by_name[app.environment, app.name] = app

    def forget(self, app: App) -> None:
        """Remove an app; its sandboxes keep their files and their ends."""
        self._shelf.drop(app.id)
        if not app.ephemeral:
            self._by_name.pop((app.environment, app.name), None)
        self._endings.pop(app.id, asyncio.Event()).set()

    async def wait_end(self, app_id: str) -> None:
        """Until an app is gone."""
        if self._shelf.peek(app_id) is not None:
            await self._endings.setdefault(app_id, asyncio.Event()).wait()
