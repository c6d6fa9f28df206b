"""Making sandboxes, starting and ending them, and going on with them after a daemon's death.

A sandbox that is alive has a marker file of its own, so that a new daemon reads these alone. One that is
created is written down in its marker and answered for before it is started.
"""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Protocol

from trebuchet.emulator.disk import make_private_folder, set_aside
from trebuchet.emulator.process.errors import NotRunningError, ProcessError
from trebuchet.emulator.world.admission import Admission
from trebuchet.emulator.world.clock import Clock
from trebuchet.emulator.world.errors import (
    ConflictError,
    InvalidError,
    NotFoundError,
    UnreadableError,
    WorldError,
)
from trebuchet.emulator.world.sandbox import Ask, Outcome, Result, Sandbox, Standing, result_of
from trebuchet.emulator.world.starter import Starter

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping
    from pathlib import Path

    from trebuchet.emulator.process.host import ProcessHost
    from trebuchet.emulator.process.spec import ProcessSpec
    from trebuchet.emulator.world.admission import Room
    from trebuchet.emulator.world.gpus import GpuPool
    from trebuchet.emulator.world.sandboxes import Sandboxes
    from trebuchet.emulator.world.secrets import Secrets
    from trebuchet.emulator.world.upkeep import Upkeep

log = logging.getLogger(__name__)

_TERMINATED = Result(outcome=Outcome.TERMINATED, exit_code=137)
INTERRUPTED = "The engine was ended before this sandbox was started."


class Furnisher(Protocol):
    """Makes what a process needs out of what a sandbox asked for."""

    def check(self, ask: Ask) -> None:
        """Refuse what cannot be furnished.

        Raises:
            WorldError: Something it refers to does not exist.
        """
        ...

    async def furnish(self, sandbox: Sandbox, env: Mapping[str, str]) -> ProcessSpec:
        """What to run.

        Raises:
            WorldError: Something it refers to is gone.
        """
        ...


class Lifecycle:
    """Makes, starts and ends sandboxes."""

    def __init__(
        self,
        state: Path,
        sandboxes: Sandboxes,
        *,
        host: ProcessHost,
        gpus: GpuPool,
        room: Room,
        secrets: Secrets,
        furnisher: Furnisher,
        upkeep: Upkeep,
    ) -> None:
        self._sandboxes = sandboxes
        self._markers = make_private_folder(state / "alive")
        self._host = host
        self._gpus = gpus
        self._admission = Admission(gpus, room)
        self._secrets = secrets
        self._furnisher = furnisher
        self._upkeep = upkeep
        self.clock = Clock()
        self._by_key: dict[str, Sandbox] = {}
        self._env: dict[str, Mapping[str, str]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._starter = Starter(self._in_background)

    @property
    def busy(self) -> bool:
        """Whether one is alive, or what one left is still being removed."""
        return bool(self._sandboxes.alive or self._tasks)

    def waiting(self) -> dict[str, str]:
        """What those not yet started wait for, in words, by id, and by name where they have one."""
        reasons = self._admission.reasons()
        names = {self._sandboxes.get(one).ask.name: reason for one, reason in reasons.items()}
        return {name: reason for name, reason in names.items() if name} | reasons

    # ── making ──

    def create(self, ask: Ask, tags: dict[str, str], inline_env: Mapping[str, str]) -> Sandbox:
        """Make a sandbox. It is started soon, or as soon as what it asks for is free.

        Raises:
            AlreadyExistsError: One that is alive has the name.
            InvalidError: This machine can never run it.
            NotFoundError: Something it refers to does not exist.
        """
        self._check(ask)
        taken = self._admission.ask(ask)
        standing = self._first_standing(tags, taken)
        try:
            sandbox = Sandbox.make(
                self._sandboxes.folder / ask.id, self._markers / ask.id, ask, standing, inline_env
            )
            self._secrets.hold(ask.secret_ids, ask.id)
        except OSError:
            self._admission.leave(ask, taken or ())
            self._unmark(ask.id)
            raise
        self._sandboxes.enter(sandbox)
        # What secrets hold is taken now: from here on they may be deleted.
        env = {**self._secrets.values_of(ask.secret_ids), **inline_env}
        if taken is None:
            self._env[sandbox.id] = env
            self._admission.wait(ask)
        else:
            self._starter.add(partial(self._start, sandbox, env))
        return sandbox

    def _check(self, ask: Ask) -> None:
        if ask.name:
            self._sandboxes.names.check(ask.app_id, ask.name)
        self._gpus.check(ask.gpu)
        for secret_id in ask.secret_ids:
            self._secrets.get(secret_id)
        self._furnisher.check(ask)

    def name(self, sandbox_id: str, name: str) -> None:
        """Give a running sandbox its name; doing so again changes nothing.

        Raises:
            AlreadyExistsError: Another that is alive has it.
            ConflictError: It has another name, or has ended.
            InvalidError: This is no name.
        """
        sandbox = self._sandboxes.get(sandbox_id)
        if sandbox.name == name:
            return
        if sandbox.name or sandbox.ended.is_set():
            raise ConflictError(f"Sandbox {sandbox_id} has another name, or has ended.")
        self._sandboxes.names.check(sandbox.ask.app_id, name)
        self._sandboxes.names.note(sandbox.ask.app_id, name, sandbox.id)
        sandbox.now(name=name)
        self._sandboxes.enter(sandbox)

    def _first_standing(self, tags: dict[str, str], taken: tuple[int, ...] | None) -> Standing:
        if taken is None:
            return Standing(tags=tags)
        return Standing(tags=tags, admitted=True, gpus=taken, started_at=self.clock.now())

    async def _start(self, sandbox: Sandbox, env: Mapping[str, str]) -> None:
        try:
            self._move_in(sandbox)
            await self._host.start(await self._furnisher.furnish(sandbox, env), sandbox.process)
        except (WorldError, ProcessError, OSError) as error:
            await self._never_starts(sandbox, str(error))
        except Exception:
            log.exception("%s cannot be started", sandbox.id)
            await self._never_starts(sandbox, "The local engine failed to start it; its log says why.")
        else:
            self._in_background(self._watch(sandbox))

    async def _never_starts(self, sandbox: Sandbox, why: str) -> None:
        await self._upkeep.finish(sandbox)
        self._finish(sandbox, _not_started(why))

    def _move_in(self, sandbox: Sandbox) -> None:
        if not sandbox.moved_in:
            sandbox.move_in()
            self._sandboxes.names.note(sandbox.ask.app_id, sandbox.name, sandbox.id)

    def _unmark(self, sandbox_id: str) -> None:
        (self._markers / sandbox_id).unlink(missing_ok=True)

    def _clear_marker(self, sandbox: Sandbox) -> None:
        """It has its variables: they leave the disk."""
        with suppress(FileNotFoundError):
            os.truncate(self._markers / sandbox.id, 0)

    async def _watch(self, sandbox: Sandbox) -> None:
        self._clear_marker(sandbox)
        sandbox.settled.set()
        async with self._upkeep.during(sandbox):
            state = await self._host.wait_end(sandbox.process)
        await self._upkeep.finish(sandbox)
        result = result_of(state, sandbox.standing)
        self._finish(sandbox, result, started_at=state.started_at, ended_at=state.ended_at)
        try:
            await self._host.cleanup(sandbox.process)
        except (ProcessError, OSError) as error:
            log.warning("what %s wrote is left in %s: %s", sandbox.id, sandbox.process, error)

    def by_idempotency_key(self, key: str) -> Sandbox | None:
        """The sandbox that an earlier daemon made for a call, whose answer the caller may not have got."""
        return self._by_key.get(key) if key else None

    # ── ending ──

    def terminate(self, sandbox_id: str) -> Result | None:
        """Ask for the end of a sandbox, and return at once; its result if it had ended before.

        Raises:
            NotFoundError: There is none of this id.
        """
        sandbox = self._sandboxes.get(sandbox_id)
        if sandbox.standing.result is not None:
            return sandbox.standing.result
        if sandbox.standing.admitted:
            self._move_in(sandbox)
            self._host.terminate(sandbox.process)
        else:
            self._finish(sandbox, _TERMINATED)
        return None

    def _finish(
        self,
        sandbox: Sandbox,
        result: Result,
        *,
        started_at: float | None = None,
        ended_at: float | None = None,
    ) -> None:
        """Write the end down first: whatever is left undone after that, the next daemon does.

        One that was to end anyway has ended as it was told, whatever kept it from starting meanwhile.
        """
        if result.outcome is Outcome.NOT_STARTED and sandbox.is_to_end:
            result = _TERMINATED
        try:
            self._move_in(sandbox)
            sandbox.now(
                result=result,
                started_at=started_at or sandbox.standing.started_at,
                ended_at=ended_at or self.clock.now(),
            )
        except OSError:
            log.exception("how %s ended is not written down", sandbox.id)
            sandbox.ended_unwritten(result)
            if not self._has_process(sandbox):  # or else the next daemon learns how it ended
                self._unmark(sandbox.id)
        else:
            self._unmark(sandbox.id)
        self._leave(sandbox)

    def _leave(self, sandbox: Sandbox) -> None:
        self._sandboxes.leave(sandbox)
        self._env.pop(sandbox.id, None)
        self._admission.leave(sandbox.ask, sandbox.standing.gpus)
        self._secrets.release(sandbox.ask.secret_ids, sandbox.id)
        self.admit_waiting()

    def admit_waiting(self) -> None:
        """Start those that can be given what they wait for."""
        for sandbox_id, taken in list(self._admission.admit()):
            sandbox = self._sandboxes.get(sandbox_id)
            env = self._env.pop(sandbox_id, {})
            try:
                sandbox.now(admitted=True, gpus=taken, started_at=self.clock.now())
            except OSError as error:
                self._finish(sandbox, _not_started(str(error)))
            else:
                self._starter.add(partial(self._start, sandbox, env))

    # ── after a daemon's death ──

    async def recover(self) -> None:
        """Go on with what an earlier daemon left."""
        left = [found for marker in self._markers.iterdir() if (found := self._load_marked(marker))]
        for sandbox, env in sorted(left, key=lambda found: found[0].ask.created_at):
            self.clock.saw(sandbox.ask.created_at)
            self._sandboxes.enter(sandbox)
            self._by_key[sandbox.ask.idempotency_key] = sandbox
            self._secrets.hold_again(sandbox.ask.secret_ids, sandbox.id)
            if sandbox.standing.admitted:
                self._admission.retake(sandbox.ask, sandbox.standing.gpus)
            self._go_on(sandbox, env)
        self.admit_waiting()

    def _load_marked(self, marker: Path) -> tuple[Sandbox, dict[str, str] | None] | None:
        try:
            return Sandbox.load_marked(self._sandboxes.folder / marker.name, marker)
        except UnreadableError as error:
            set_aside(marker, error, make_private_folder(self._markers.with_name("unreadable")))
        except NotFoundError:
            marker.unlink(missing_ok=True)
        return None

    def _go_on(self, sandbox: Sandbox, inline_env: Mapping[str, str] | None) -> None:
        if sandbox.standing.result is not None:
            self._unmark(sandbox.id)
            self._leave(sandbox)
        elif not self._host.withdraw(sandbox.process) and self._has_process(sandbox):
            self._in_background(self._watch(sandbox))
        elif sandbox.ask.has_inline_env and inline_env is None:
            # What it was to be given is lost. One who asks again gets a new one.
            self._by_key.pop(sandbox.ask.idempotency_key, None)
            self._finish(sandbox, _not_started(INTERRUPTED))
        else:
            self._start_again(sandbox, inline_env or {})

    def _start_again(self, sandbox: Sandbox, inline_env: Mapping[str, str]) -> None:
        try:
            self._gpus.check(sandbox.ask.gpu)
            env = {**self._secrets.values_of(sandbox.ask.secret_ids), **inline_env}
        except (InvalidError, NotFoundError) as error:
            self._finish(sandbox, _not_started(str(error)))
            return
        if sandbox.standing.admitted:
            self._starter.add(partial(self._start, sandbox, env))
        else:
            self._env[sandbox.id] = env
            self._admission.wait(sandbox.ask)

    def _has_process(self, sandbox: Sandbox) -> bool:
        try:
            self._host.state(sandbox.process)
        except NotRunningError:
            return False
        return True

    def _in_background(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a sandbox is no longer watched", exc_info=task.exception())


def _not_started(why: str) -> Result:
    return Result(outcome=Outcome.NOT_STARTED, exit_code=1, message=why)
