"""Commands run in a sandbox beside its own, under ids that the caller chose."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from trebuchet.emulator.disk import make_private_folder, write_whole
from trebuchet.emulator.process.errors import NotRunningError
from trebuchet.emulator.world.errors import NotFoundError
from trebuchet.emulator.world.ids import is_safe_id

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping, Sequence
    from pathlib import Path

    from trebuchet.emulator.process.host import ProcessHost
    from trebuchet.emulator.world.sandbox import Sandbox

FOLDER = "execs"


class Execs:
    """All such commands: where each one's process lies is noted in its sandbox's folder."""

    def __init__(self, host: ProcessHost) -> None:
        self._host = host
        self._ended: WeakKeyDictionary[Sandbox, set[str]] = WeakKeyDictionary()
        self._starting: dict[tuple[str, str], asyncio.Task[Path]] = {}

    async def start(
        self,
        sandbox: Sandbox,
        exec_id: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        workdir: str | None,
        timeout_s: float | None,
        pty: tuple[int, int] | None,
    ) -> None:
        """Start a command; one whose id was seen before is not started again.

        Raises:
            NotFoundError: The sandbox does not run (any more): its task is gone.
        """
        sandbox.touch()
        if self._note(sandbox, exec_id).exists():
            return
        key = (sandbox.id, exec_id)
        if key not in self._starting:
            work = self._host.exec(
                sandbox.process, argv, env=env, workdir=workdir, timeout_s=timeout_s, pty=pty
            )
            self._starting[key] = asyncio.create_task(self._noted(sandbox, exec_id, work))
            self._starting[key].add_done_callback(lambda _: self._starting.pop(key, None))
        try:
            # Shielded: the caller may go, but the command was asked for.
            await asyncio.shield(self._starting[key])
        except NotRunningError as error:
            raise NotFoundError(f"Sandbox {sandbox.id} does not run.") from error

    async def _noted(self, sandbox: Sandbox, exec_id: str, starting: Awaitable[Path]) -> Path:
        folder = await starting
        write_whole(self._note(sandbox, exec_id), str(folder.relative_to(sandbox.folder)).encode())
        return folder

    def folder(self, sandbox: Sandbox, exec_id: str) -> Path:
        """The folder of a command's process.

        Raises:
            NotFoundError: No command was started under this id.
        """
        note = self._note(sandbox, exec_id)
        try:
            return sandbox.folder / note.read_text()
        except FileNotFoundError:
            raise NotFoundError(f"No command {exec_id!r} was started in sandbox {sandbox.id}.") from None

    def any_running(self, sandbox: Sandbox) -> bool:
        """Whether a command is running in a sandbox. The engine's own, a probe's say, do not count."""
        ended = self._ended.setdefault(sandbox, set())
        for note in (sandbox.folder / FOLDER).glob("[!.]*"):  # without the drafts of notes
            if note.name not in ended:
                if self._runs(sandbox, note):
                    return True
                ended.add(note.name)
        return False

    def _runs(self, sandbox: Sandbox, note: Path) -> bool:
        try:
            return self._host.state(sandbox.folder / note.read_text()).phase in {"starting", "running"}
        except (NotRunningError, FileNotFoundError):  # removed meanwhile, or it leads to nothing
            return False

    def _note(self, sandbox: Sandbox, exec_id: str) -> Path:
        if not is_safe_id(exec_id):
            raise NotFoundError(f"No command {exec_id!r} was started in sandbox {sandbox.id}.")
        return make_private_folder(sandbox.folder / FOLDER) / exec_id
