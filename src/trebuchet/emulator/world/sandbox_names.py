"""The names of sandboxes: one that is alive has its name alone in its app; of those that ended, the last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trebuchet.emulator.disk import make_private_folder, write_whole
from trebuchet.emulator.world.errors import AlreadyExistsError, InvalidError
from trebuchet.emulator.world.ids import is_object_name

if TYPE_CHECKING:
    from pathlib import Path

    from trebuchet.emulator.world.sandbox import Sandbox


class SandboxNames:
    """Who has which name, in memory while they are alive, and in a file a name for later."""

    def __init__(self, folder: Path) -> None:
        self._folder = make_private_folder(folder)
        self._alive: dict[tuple[str, str], Sandbox] = {}

    def check(self, app_id: str, name: str) -> None:
        """Whether a sandbox of an app may get a name.

        Raises:
            AlreadyExistsError: One that is alive has it.
            InvalidError: This is no name.
        """
        if not is_object_name(name):
            raise InvalidError(f"{name!r} is no name for a sandbox: use up to 64 of A-Z a-z 0-9 . _ -")
        if (app_id, name) in self._alive:
            raise AlreadyExistsError(
                f"A sandbox with the name {name!r} already exists in this app, and runs."
            )

    def take(self, sandbox: Sandbox) -> None:
        """A sandbox is alive under its name, if it has one."""
        if sandbox.name:
            self._alive[sandbox.ask.app_id, sandbox.name] = sandbox

    def leave(self, sandbox: Sandbox) -> None:
        """It is alive no longer."""
        self._alive.pop((sandbox.ask.app_id, sandbox.name), None)

    def note(self, app_id: str, name: str, sandbox_id: str) -> None:
        """Write down whose the name was last."""
        if name:
            write_whole(make_private_folder(self._folder / app_id) / f"={name}", sandbox_id.encode())

    def alive(self, app_id: str, name: str) -> Sandbox | None:
        """The sandbox that is alive under a name."""
        return self._alive.get((app_id, name))

    def last(self, app_id: str, name: str) -> str | None:
        """The id of the sandbox whose the name was last."""
        note = self._folder / app_id / f"={name}"
        return note.read_text(errors="replace") if is_object_name(name) and note.exists() else None
