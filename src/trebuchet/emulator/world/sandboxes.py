"""Which sandboxes there are, and how they are found.

Those that are alive are in memory, and so are the last that were asked for after their end; of all others the
folders are read.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from trebuchet.emulator.disk import make_private_folder
from trebuchet.emulator.world.errors import ConflictError, NotFoundError
from trebuchet.emulator.world.ids import is_safe_id, is_task_id, sandbox_id_of
from trebuchet.emulator.world.sandbox import Outcome, Result, Sandbox
from trebuchet.emulator.world.sandbox_names import SandboxNames

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

PAGE = 100
FINISHED_KEPT = 500
UNWRITTEN = "The engine could not write down how this sandbox ended."


class Sandboxes:
    """All sandboxes of this engine. Who makes and ends them tells it."""

    def __init__(self, state: Path) -> None:
        self.folder = make_private_folder(state / "sandboxes")
        """Each has its own in this one, under its id."""
        self.names = SandboxNames(state / "names")
        self._alive: dict[str, Sandbox] = {}
        self._finished: OrderedDict[str, Sandbox] = OrderedDict()

    @property
    def alive(self) -> int:
        """How many have not ended."""
        return len(self._alive)

    def running(self) -> Iterator[Sandbox]:
        """Those that have not ended, by age."""
        return iter(list(self._alive.values()))

    def enter(self, sandbox: Sandbox) -> None:
        """One is alive from now on; or has got its name."""
        self._alive[sandbox.id] = sandbox
        self.names.take(sandbox)

    def leave(self, sandbox: Sandbox) -> None:
        """One has ended."""
        self._alive.pop(sandbox.id, None)
        self.names.leave(sandbox)
        self._remember(sandbox)

    def get(self, sandbox_id: str) -> Sandbox:
        """A sandbox, running or finished.

        Raises:
            NotFoundError: There is none of this id.
        """
        sandbox = self._alive.get(sandbox_id) or self._finished.get(sandbox_id)
        if sandbox is not None:
            return sandbox
        if not is_safe_id(sandbox_id):
            raise NotFoundError(f"Sandbox {sandbox_id!r} does not exist.")
        sandbox = Sandbox.load(self.folder / sandbox_id)
        if sandbox.standing.result is None:
            sandbox.ended_unwritten(Result(outcome=Outcome.LOST, exit_code=1, message=UNWRITTEN))
        return self._remember(sandbox)

    def by_task(self, task_id: str) -> Sandbox:
        """The sandbox that a task runs.

        Raises:
            NotFoundError: There is none.
        """
        if not is_task_id(task_id):
            raise NotFoundError(f"Task {task_id!r} does not exist.")
        return self.get(sandbox_id_of(task_id))

    def by_name(self, app_id: str, name: str, *, include_finished: bool) -> Sandbox:
        """The running sandbox of this name, or the latest finished one.

        Raises:
            NotFoundError: There is none.
        """
        sandbox = self.names.alive(app_id, name)
        last = self.names.last(app_id, name) if sandbox is None and include_finished else None
        if last is not None:
            return self.get(last)
        if sandbox is None:
            raise NotFoundError(f"No sandbox of this app has the name {name!r}.")
        return sandbox

    def page(self, *, before: float, app_ids: frozenset[str], tags: Mapping[str, str]) -> list[Sandbox]:
        """Unfinished sandboxes made before a moment (0 for now), the newest first; one page of them."""
        found: list[Sandbox] = []
        for sandbox in reversed(self._alive.values()):
            if before and sandbox.ask.created_at >= before:
                continue
            if sandbox.ask.app_id in app_ids and tags.items() <= sandbox.standing.tags.items():
                found.append(sandbox)
                if len(found) == PAGE:
                    break
        return found

    def forget(self, sandbox_id: str) -> None:
        """Forget one that has ended, and leave its folder to whoever asked for that."""
        self._finished.pop(sandbox_id, None)

    def _remember(self, sandbox: Sandbox) -> Sandbox:
        self._finished[sandbox.id] = sandbox
        while len(self._finished) > FINISHED_KEPT:
            self._finished.popitem(last=False)
        return sandbox

    def check_volume_unused(self, volume_id: str) -> None:
        """Whether a volume may be removed.

        Raises:
            ConflictError: A sandbox that is alive, and is not about to end, has it.
        """
        for sandbox in self._alive.values():
            if not sandbox.is_to_end and any(place.volume_id == volume_id for place in sandbox.ask.volumes):
                raise ConflictError(f"Sandbox {sandbox.id} still uses this volume.")
