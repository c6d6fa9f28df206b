"""One sandbox: what was asked for, and how it stands."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, cast

from trebuchet.emulator.disk import PRIVATE_FOLDER, append_lines, read_lines
from trebuchet.emulator.process.supervise import framing
from trebuchet.emulator.world.clock import booted_at
from trebuchet.emulator.world.errors import NotFoundError, UnreadableError
from trebuchet.emulator.world.gpus import GpuAsk
from trebuchet.emulator.world.ids import is_v2, task_id_of
from trebuchet.emulator.world.records import known_values

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from trebuchet.emulator.process.spec import ProcessState


JOURNAL = "journal"
ENV = "env"


class Outcome(StrEnum):
    """How a sandbox ended, in the control plane's own distinctions."""

    SUCCESS = "success"
    FAILURE = "failure"
    TERMINATED = "terminated"
    TIMEOUT = "timeout"
    IDLE = "idle"
    OUT_OF_MEMORY = "out_of_memory"
    NOT_STARTED = "not_started"
    LOST = "lost"


@dataclass(frozen=True, kw_only=True)
class Result:
    """The end of a sandbox. `exit_code` is its command's own where it had one."""

    outcome: Outcome
    exit_code: int
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class VolumePlace:
    """A volume in a sandbox."""

    volume_id: str
    path: str
    read_only: bool = False
    sub_path: str = ""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What tells that a sandbox is ready: a port that takes connections, or else a command that succeeds."""

    tcp_port: int | None = None
    argv: tuple[str, ...] = ()
    interval_s: float = 0.1


@dataclass(frozen=True, kw_only=True)
class Ask:
    """What was asked for; never changes.

    `secret_ids` name the stored secrets whose variables it gets. With `has_inline_env` it got others, which
    are written down only until it starts. What it `wants` it waits for, before those of a lower `priority`;
    `cpus` and `memory_mib` are the most that it may take. Of its `ports` some are to have tunnels that are
    `unencrypted`.
    """

    id: str
    app_id: str
    created_at: float
    argv: tuple[str, ...] = ()
    name: str = ""
    image_id: str = ""
    workdir: str | None = None
    timeout_s: float | None = None
    idle_timeout_s: float | None = None
    probe: Probe | None = None
    gpu: GpuAsk = field(default_factory=GpuAsk)
    cpus: float | None = None
    memory_mib: int | None = None
    wants_cpus: float = 0.0
    wants_memory_mib: int = 0
    priority: int = 0
    secret_ids: tuple[str, ...] = ()
    has_inline_env: bool = False
    mount_ids: tuple[str, ...] = ()
    volumes: tuple[VolumePlace, ...] = ()
    pty: tuple[int, int] | None = None
    ports: tuple[int, ...] = ()
    unencrypted_ports: tuple[int, ...] = ()
    network: bool = True
    idempotency_key: str = ""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How it stands.

    Attributes:
        tags: Its labels.
        name: The name that it got later; empty where it has none, or the one it was made with.
        admitted: Whether it was given what it has to wait for, and so was started or is about to be.
        gpus: Indices of the GPUs it was lent.
        started_at: Seconds since the epoch.
        ended_at: Seconds since the epoch.
        ready_at: When its probe first passed, in seconds since the epoch.
        idled: Whether it is being ended because nobody used it.
        result: None until its end.
    """

    tags: dict[str, str] = field(default_factory=dict[str, str])
    name: str = ""
    admitted: bool = False
    gpus: tuple[int, ...] = ()
    started_at: float | None = None
    ended_at: float | None = None
    ready_at: float | None = None
    idled: bool = False
    result: Result | None = None


class Sandbox:
    """A sandbox and what is written down of it.

    Until it starts all of that lies in its marker, which one write makes: what was asked for on the first
    line, on the second the variables that came with it, and on each further one how it stood from then on.
    Its folder's file `journal` is the same without the variables. A change costs one short write, and of a
    line that was cut short by a crash nothing is believed.
    """

    def __init__(self, folder: Path, ask: Ask, standing: Standing, *, journal: Path | None = None) -> None:
        self.folder = folder
        self.ask = ask
        self.standing = standing
        self._journal = journal or folder / JOURNAL
        self.settled = asyncio.Event()
        """Set once it was started or has ended: there is something to say about its task."""
        self.ended = asyncio.Event()
        self.ready = asyncio.Event()
        """Set once its probe has passed."""
        self.used_at = time.monotonic()
        """When somebody last did something with it, as far as this daemon knows."""
        self._tell()

    @classmethod
    def make(
        cls, folder: Path, marker: Path, ask: Ask, standing: Standing, env: Mapping[str, str]
    ) -> Sandbox:
        """Write a new sandbox down, in its marker; its folder is made when it starts."""
        try:
            append_lines(marker, asdict(ask), {ENV: dict(env)}, asdict(standing))
        except OSError:
            marker.unlink(missing_ok=True)
            raise
        return cls(folder, ask, standing, journal=marker)

    @classmethod
    def load(cls, folder: Path) -> Sandbox:
        """Read a sandbox from its folder.

        Raises:
            NotFoundError: There is none in this folder.
            UnreadableError: What is written there is no sandbox.
        """
        lines = read_lines(folder / JOURNAL)
        if len(lines) < 2:
            raise NotFoundError(f"Sandbox {folder.name!r} does not exist.")
        return cls(folder, *_read(folder.name, lines))

    @classmethod
    def load_marked(cls, folder: Path, marker: Path) -> tuple[Sandbox, dict[str, str] | None]:
        """Read a sandbox that an earlier daemon left alive, and its variables if it may not have started.

        Raises:
            NotFoundError: The daemon died before it was written down.
            UnreadableError: What is written there is no sandbox.
        """
        lines = read_lines(marker)
        env = cast("dict[str, str] | None", lines[1].get(ENV)) if len(lines) > 1 else None
        try:
            return cls.load(folder), env
        except NotFoundError:
            if len(lines) < 3:
                raise
            return cls(folder, *_read(folder.name, lines), journal=marker), env

    @property
    def moved_in(self) -> bool:
        """Whether it has its folder."""
        return self._journal.parent == self.folder

    def move_in(self) -> None:
        """Make its folder, and write it down there from now on."""
        self.folder.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
        home = self.folder / JOURNAL
        append_lines(home, asdict(self.ask), asdict(self.standing))
        self._journal = home

    @property
    def id(self) -> str:
        """Its id."""
        return self.ask.id

    @property
    def name(self) -> str:
        """Its name; empty if it has none."""
        return self.ask.name or self.standing.name

    @property
    def is_v2(self) -> bool:
        """Whether it answers to the V2 calls."""
        return is_v2(self.ask.id)

    @property
    def process(self) -> Path:
        """The folder of its process."""
        return self.folder / "process"

    @property
    def is_to_end(self) -> bool:
        """Whether somebody has asked for its end."""
        return (self.process / framing.TERMINATE).exists()

    @property
    def task_id(self) -> str:
        """The id of its task: empty while it waits in the queue, and for good if it could not be started."""
        result = self.standing.result
        in_vain = result is not None and result.outcome is Outcome.NOT_STARTED
        return task_id_of(self.ask.id) if self.is_v2 or (self.standing.admitted and not in_vain) else ""

    def touch(self) -> None:
        """Somebody does something with it now."""
        self.used_at = time.monotonic()

    def now(self, **changes: Any) -> None:
        """Write down how it stands now."""
        self.standing = replace(self.standing, **changes)
        append_lines(self._journal, asdict(self.standing))
        self._tell()

    def ended_unwritten(self, result: Result) -> None:
        """It ended, and that cannot be written down."""
        self.standing = replace(self.standing, result=result, ended_at=time.time())
        self._tell()

    def _tell(self) -> None:
        if self.standing.result is not None:
            self.settled.set()
            self.ended.set()
        if self.standing.ready_at is not None:
            self.ready.set()


def result_of(state: ProcessState, standing: Standing) -> Result:
    """What the end of a process means for its sandbox."""
    code = state.exit_code
    if standing.idled and state.cause == "terminated":
        return Result(outcome=Outcome.IDLE, exit_code=137, message="Nobody used it.")
    if state.phase == "lost":
        return Result(outcome=Outcome.LOST, exit_code=1, message=_why_lost(state.started_at))
    if state.cause == "start_failed":
        return Result(outcome=Outcome.NOT_STARTED, exit_code=code or 1, message=state.message)
    if state.cause in _ENDED_BY_THE_ENGINE:
        outcome, known_code = _ENDED_BY_THE_ENGINE[state.cause]
        return Result(outcome=outcome, exit_code=known_code, message=state.message)
    outcome = Outcome.SUCCESS if code == 0 else Outcome.FAILURE
    return Result(outcome=outcome, exit_code=code if code is not None else 1)


def _why_lost(started_at: float | None) -> str:
    if started_at is not None and started_at < booted_at():
        return "The machine was restarted while the sandbox ran."
    return "The sandbox's processes were ended from outside."


_ENDED_BY_THE_ENGINE = {
    "timeout": (Outcome.TIMEOUT, 124),
    "terminated": (Outcome.TERMINATED, 137),
    "out_of_memory": (Outcome.OUT_OF_MEMORY, 137),
    "too_many_processes": (Outcome.FAILURE, 137),
    "disk_full": (Outcome.FAILURE, 137),
}


def _read(sandbox_id: str, lines: Sequence[object]) -> tuple[Ask, Standing]:
    try:
        return _read_ask(lines[0]), _read_standing(lines[-1])
    except (TypeError, KeyError, ValueError) as error:
        raise UnreadableError(f"What is written of sandbox {sandbox_id!r} cannot be read.") from error


def _read_ask(written: object) -> Ask:
    values = known_values(Ask, written)
    values["gpu"] = GpuAsk(**known_values(GpuAsk, values["gpu"]))
    values["volumes"] = tuple(VolumePlace(**known_values(VolumePlace, place)) for place in values["volumes"])
    for name in ("argv", "secret_ids", "mount_ids", "ports", "unencrypted_ports"):
        values[name] = tuple(values.get(name, ()))
    values["pty"] = tuple(values["pty"]) if values["pty"] else None
    if probe := values.get("probe"):
        known = known_values(Probe, probe)
        known["argv"] = tuple(known["argv"])
        values["probe"] = Probe(**known)
    return Ask(**values)


def _read_standing(written: object) -> Standing:
    values = known_values(Standing, written)
    values["gpus"] = tuple(values["gpus"])
    if values["result"] is not None:
        result = known_values(Result, values["result"])
        result["outcome"] = Outcome(result["outcome"])
        values["result"] = Result(**result)
    return Standing(**values)
