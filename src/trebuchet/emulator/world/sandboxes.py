"""All sandboxes: making, finding, ending them, and going on with them after a daemon's death.

A sandbox that is alive has a marker file of its own, so that a new daemon reads these alone; finished ones
are read when they are asked for.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import OrderedDict
from typing import TYPE_CHECKING, Protocol

from trebuchet.emulator.disk import make_private_folder, write_whole
from trebuchet.emulator.process.errors import NotRunningError, ProcessError
from trebuchet.emulator.world.admission import Admission
from trebuchet.emulator.world.clock import Clock
from trebuchet.emulator.world.errors import (
    AlreadyExistsError,
    ConflictError,
    InvalidError,
    NotFoundError,
    WorldError,
)
from trebuchet.emulator.world.ids import is_safe_id, sandbox_id_of
from trebuchet.emulator.world.sandbox import Ask, Outcome, Result, Sandbox, Standing, result_of

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator, Mapping
    from pathlib import Path

    from trebuchet.emulator.process.host import ProcessHost
    from trebuchet.emulator.process.spec import ProcessSpec
    from trebuchet.emulator.world.admission import Room
    from trebuchet.emulator.world.gpus import GpuPool
    from trebuchet.emulator.world.secrets import Secrets
    from trebuchet.emulator.world.upkeep import Upkeep

log = logging.getLogger(__name__)

PAGE = 100
FINISHED_KEPT = 500
NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


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


class Sandboxes:
    """All sandboxes of this engine."""

    def __init__(
        self,
        state: Path,
        *,
        host: ProcessHost,
        gpus: GpuPool,
        room: Room,
        secrets: Secrets,
        furnisher: Furnisher,
        upkeep: Upkeep,
    ) -> None:
        self._folder = make_private_folder(state / "sandboxes")
        self._markers = make_private_folder(state / "alive")
        self._names = make_private_folder(state / "names")
        self._host = host
        self._gpus = gpus
        self._admission = Admission(gpus, room)
        self._secrets = secrets
        self._furnisher = furnisher
        self._upkeep = upkeep
        self.clock = Clock()
        self._alive: dict[str, Sandbox] = {}
        self._by_name: dict[tuple[str, str], Sandbox] = {}
        self._by_key: dict[str, Sandbox] = {}
        self._inline_env: dict[str, Mapping[str, str]] = {}
        self._finished: OrderedDict[str, Sandbox] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def alive(self) -> int:
        """How many have not ended."""
        return len(self._alive)

    @property
    def busy(self) -> bool:
        """Whether one is alive, or what one left is still being removed."""
        return bool(self._alive or self._tasks)

    def running(self) -> Iterator[Sandbox]:
        """Those that have not ended, by age."""
        return iter(list(self._alive.values()))

    def waiting(self) -> dict[str, str]:
        """What those not yet started wait for, in words, by id, and by name where they have one."""
        reasons = self._admission.reasons()
        names = {self._alive[sandbox_id].ask.name: reason for sandbox_id, reason in reasons.items()}
        return {name: reason for name, reason in names.items() if name} | reasons

    # ── making ──

    async def create(self, ask: Ask, tags: dict[str, str], inline_env: Mapping[str, str]) -> Sandbox:
        """Make a sandbox. It is started at once, or as soon as what it asks for is free.

        Raises:
            AlreadyExistsError: One that is alive has the name.
            InvalidError: This machine can never run it.
            NotFoundError: Something it refers to does not exist.
        """
        self._check(ask)
        taken = self._admission.ask(ask)
        try:
            sandbox = Sandbox.make(self._folder / ask.id, ask, self._first_standing(tags, taken))
            (self._markers / ask.id).touch(mode=0o600)
            self._note_name(ask, ask.name)
            self._secrets.hold(ask.secret_ids, ask.id)
        except OSError:
            self._admission.leave(ask, taken or ())
            raise
        self._enter(sandbox)
        if taken is None:
            self._inline_env[sandbox.id] = inline_env
            self._admission.wait(sandbox.ask)
        else:
            await self._start(sandbox, inline_env)
        return sandbox

    def _check(self, ask: Ask) -> None:
        if ask.name:
            self._check_name(ask.app_id, ask.name)
        self._gpus.check(ask.gpu)
        for secret_id in ask.secret_ids:
            self._secrets.get(secret_id)
        self._furnisher.check(ask)

    def _check_name(self, app_id: str, name: str) -> None:
        if not NAME.fullmatch(name):
            raise InvalidError(f"{name!r} is no name for a sandbox: use up to 64 of A-Z a-z 0-9 . _ -")
        if (app_id, name) in self._by_name:
            raise AlreadyExistsError(f"A running sandbox of this app already has the name {name!r}.")

    def name(self, sandbox_id: str, name: str) -> None:
        """Give a running sandbox its name; doing so again changes nothing.

        Raises:
            AlreadyExistsError: Another that is alive has it.
            ConflictError: It has another name, or has ended.
            InvalidError: This is no name.
        """
        sandbox = self.get(sandbox_id)
        if sandbox.name == name:
            return
        if sandbox.name or sandbox.ended.is_set():
            raise ConflictError(f"Sandbox {sandbox_id} has another name, or has ended.")
        self._check_name(sandbox.ask.app_id, name)
        self._note_name(sandbox.ask, name)
        sandbox.now(name=name)
        self._enter(sandbox)

    def _enter(self, sandbox: Sandbox) -> None:
        self._alive[sandbox.id] = sandbox
        if sandbox.name:
            self._by_name[sandbox.ask.app_id, sandbox.name] = sandbox

    def _note_name(self, ask: Ask, name: str) -> None:
        if name:
            write_whole(make_private_folder(self._names / ask.app_id) / f"={name}", ask.id.encode())

    def _first_standing(self, tags: dict[str, str], taken: tuple[int, ...] | None) -> Standing:
        if taken is None:
            return Standing(tags=tags)
        return Standing(tags=tags, admitted=True, gpus=taken, started_at=self.clock.now())

    async def _start(self, sandbox: Sandbox, inline_env: Mapping[str, str]) -> None:
        try:
            env = {**self._secrets.values_of(sandbox.ask.secret_ids), **inline_env}
            await self._host.start(await self._furnisher.furnish(sandbox, env), sandbox.process)
        except (WorldError, ProcessError, OSError) as error:
            await self._upkeep.finish(sandbox)
            self._finish(sandbox, Result(outcome=Outcome.NOT_STARTED, exit_code=1, message=str(error)))
            return
        sandbox.settled.set()
        self._in_background(self._watch(sandbox))

    async def _watch(self, sandbox: Sandbox) -> None:
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

    # ── ending ──

    def terminate(self, sandbox_id: str) -> Result | None:
        """Ask for the end of a sandbox, and return at once; its result if it had ended before.

        Raises:
            NotFoundError: There is none of this id.
        """
        sandbox = self.get(sandbox_id)
        if sandbox.standing.result is not None:
            return sandbox.standing.result
        if sandbox.standing.admitted:
            self._host.terminate(sandbox.process)
        else:
            self._finish(sandbox, Result(outcome=Outcome.TERMINATED, exit_code=137))
        return None

    def _finish(
        self,
        sandbox: Sandbox,
        result: Result,
        *,
        started_at: float | None = None,
        ended_at: float | None = None,
    ) -> None:
        """Write the end down first: whatever is left undone after that, the next daemon does."""
        sandbox.now(
            result=result,
            started_at=started_at or sandbox.standing.started_at,
            ended_at=ended_at or self.clock.now(),
        )
        self._leave(sandbox)

    def _leave(self, sandbox: Sandbox) -> None:
        self._alive.pop(sandbox.id, None)
        self._by_name.pop((sandbox.ask.app_id, sandbox.name), None)
        self._inline_env.pop(sandbox.id, None)
        self._admission.leave(sandbox.ask, sandbox.standing.gpus)
        self._secrets.release(sandbox.ask.secret_ids, sandbox.id)
        (self._markers / sandbox.id).unlink(missing_ok=True)
        self._remember(sandbox)
        self.admit_waiting()

    def admit_waiting(self) -> None:
        """Start those that can be given what they wait for."""
        for sandbox_id, taken in self._admission.admit():
            sandbox = self._alive[sandbox_id]
            sandbox.now(admitted=True, gpus=taken, started_at=self.clock.now())
            self._in_background(self._start(sandbox, self._inline_env.pop(sandbox.id, {})))

    # ── finding ──

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
        return self._remember(Sandbox.load(self._folder / sandbox_id))

    def by_task(self, task_id: str) -> Sandbox:
        """The sandbox that a task runs.

        Raises:
            NotFoundError: There is none.
        """
        return self.get(sandbox_id_of(task_id))

    def by_name(self, app_id: str, name: str, *, include_finished: bool) -> Sandbox:
        """The running sandbox of this name, or the latest finished one.

        Raises:
            NotFoundError: There is none.
        """
        sandbox = self._by_name.get((app_id, name))
        if sandbox is not None:
            return sandbox
        note = self._names / app_id / f"={name}"
        if not include_finished or not NAME.fullmatch(name) or not note.exists():
            raise NotFoundError(f"No sandbox of this app has the name {name!r}.")
        return self.get(note.read_text())

    def by_idempotency_key(self, key: str) -> Sandbox | None:
        """The sandbox that an earlier daemon made for a call, whose answer the caller may not have got."""
        return self._by_key.get(key) if key else None

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
            ConflictError: A sandbox that is alive has it.
        """
        for sandbox in self._alive.values():
            if any(place.volume_id == volume_id for place in sandbox.ask.volumes):
                raise ConflictError(f"Sandbox {sandbox.id} still uses this volume.")

    # ── after a daemon's death ──

    async def recover(self) -> None:
        """Go on with what an earlier daemon left."""
        left = [self._load_marked(marker) for marker in self._markers.iterdir()]
        for sandbox in sorted(filter(None, left), key=lambda sandbox: sandbox.ask.created_at):
            self.clock.saw(sandbox.ask.created_at)
            self._enter(sandbox)
            self._by_key[sandbox.ask.idempotency_key] = sandbox
            self._secrets.hold_again(sandbox.ask.secret_ids, sandbox.id)
            if sandbox.standing.admitted:
                self._admission.retake(sandbox.ask, sandbox.standing.gpus)
            await self._go_on(sandbox)
        self.admit_waiting()

    def _load_marked(self, marker: Path) -> Sandbox | None:
        try:
            return Sandbox.load(self._folder / marker.name)
        except NotFoundError:
            marker.unlink(missing_ok=True)
            return None

    async def _go_on(self, sandbox: Sandbox) -> None:
        if sandbox.standing.result is not None:
            self._leave(sandbox)
        elif not sandbox.standing.admitted and not sandbox.ask.has_inline_env:
            self._queue_again(sandbox)
        elif self._has_process(sandbox):
            self._in_background(self._watch(sandbox))
        elif sandbox.ask.has_inline_env:
            # What it was to be given is lost. One who asks again gets a new one.
            self._by_key.pop(sandbox.ask.idempotency_key, None)
            self._finish(sandbox, Result(outcome=Outcome.NOT_STARTED, exit_code=1, message=INTERRUPTED))
        else:
            await self._start(sandbox, {})

    def _queue_again(self, sandbox: Sandbox) -> None:
        try:
            self._gpus.check(sandbox.ask.gpu)
        except InvalidError as error:
            self._finish(sandbox, Result(outcome=Outcome.NOT_STARTED, exit_code=1, message=str(error)))
        else:
            self._admission.wait(sandbox.ask)

    def _has_process(self, sandbox: Sandbox) -> bool:
        try:
            self._host.state(sandbox.process)
        except NotRunningError:
            return False
        return True

    def _in_background(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a sandbox is no longer watched", exc_info=task.exception())


INTERRUPTED = "The engine was ended before this sandbox was started."
