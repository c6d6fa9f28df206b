"""What the control plane says about a job."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from datetime import datetime


class JobState(enum.Enum):
    """Where a job stands. The last three are final."""

    PENDING = "PENDING"
    """Wanted, and not yet running: waiting for its sandbox, a GPU, or its next attempt."""

    RUNNING = "RUNNING"
    """Its scripts run, `setup` included."""

    SUCCEEDED = "SUCCEEDED"
    """The script ended with exit code 0."""

    FAILED = "FAILED"
    """It ended otherwise; `JobStatus.reason` says how."""

    CANCELLED = "CANCELLED"
    """Ended because somebody asked for it."""

    @property
    def is_final(self) -> bool:
        return self in _FINAL


_FINAL = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})


class Reason(enum.StrEnum):
    """Why a job stands where it stands. The values are part of the JSON output."""

    EXIT = "exit"
    """The script ended by itself."""
    SETUP_FAILED = "setup_failed"
    """`setup` ended with a code other than 0; `run` was not started."""
    TIMEOUT = "timeout"
    """The sandbox reached its time limit."""
    IDLE = "idle"
    """The control plane ended it for idleness."""
    OUT_OF_MEMORY = "out_of_memory"
    EVICTED = "evicted"
    """The control plane took the machine back."""
    LAUNCH_FAILED = "launch_failed"
    """No sandbox was created, or it could not start."""
    CANCELLED = "cancelled"
    LOST = "lost"
    """The control plane said, twice and apart in time, that it does not know the sandbox."""


class Phase(enum.StrEnum):
    """How far the wrapper in the sandbox got."""

    SETUP = "setup"
    RUN = "run"
    DONE = "done"


@dataclass(frozen=True, kw_only=True)
class JobStatus:
    """A job as last seen.

    Attributes:
        name: The job file's name.
        id: The newest attempt's sandbox id (`sb-…`); the key before one exists.
        cluster: The label it was launched under; the id where none was given.
        state: Where it stands. `status` and `done` are derived from it.
        metadata: A JSON object as text: cloud, app, dashboard URL, what it waits for, a look-up's age …
        key: Made with the job's intent; never changes.
        reason: Why it stands there; None while nothing is to be said.
        exit_code: Of the script (of `setup` where that failed); None while it runs or where there is none.
        phase: How far the wrapper got, where known.
        attempt: Counted from 1; 0 before the first sandbox was asked for.
        cost_per_hour: US dollars, only where the caller handed in a price function.
        submit_time: When the intent was written: seconds since the epoch, as Oumi has it.
        start_at: When the sandbox was first seen running, likewise; where nobody looked while it ran, when it
            was created.
        end_at: When it ended, or was first seen ended, likewise.
    """

    name: str
    id: str
    cluster: str
    state: JobState
    metadata: str = "{}"
    key: str = ""
    reason: Reason | None = None
    exit_code: int | None = None
    phase: Phase | None = None
    attempt: int = 0
    cost_per_hour: float | None = None
    submit_time: float | None = None
    start_at: float | None = None
    end_at: float | None = None

    @property
    def status(self) -> str:
        """The state as text, with its reason where the state alone does not tell."""
        if self.reason in {None, Reason.EXIT, Reason.CANCELLED}:
            return self.state.value
        return f"{self.state.value} ({self.reason})"

    @property
    def done(self) -> bool:
        return self.state.is_final


LogSource = Literal["stdout", "stderr", "system"]


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A piece of output: a chunk, not a line; it may end anywhere, in the middle of a line too.

    Attributes:
        timestamp: When the control plane received it (UTC).
        source: `stdout`, `stderr`, or `system` for what the control plane itself says.
        message: The text; bytes that are not UTF-8 arrive as U+FFFD.
    """

    timestamp: datetime
    source: LogSource
    message: str


@dataclass(frozen=True, slots=True)
class LogPosition:
    """A place in one sandbox's log. Entries have no id, so it is a time and how many entries of it were read.

    Attributes:
        timestamp: Of the last entry that was read.
        count: How many entries of just that time were read.
    """

    timestamp: datetime
    count: int
