"""The rows of the ledger as values. Times are seconds since the epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trebuchet.status import JobState, Phase, Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trebuchet.sandbox import SandboxSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One sandbox, wanted or made.

    Attributes:
        number: Counted from 1.
        candidate: Which of the recipe's candidates it is.
        gpu: What it asks for; a control plane keeps the launch of such a sandbox waiting for one.
        launch_tag: The value of the tag that is this attempt's alone.
        name: The sandbox's name.
        sandbox_id: None until it is known.
        dashboard: Where a browser shows it; None where there is no such page.
        claim: Who is about to create it; None for nobody. See `lifecycle.claims`.
        asked_at: When the control plane was last asked to create it; None for never.
        allotted_s: Seconds after which the control plane ends it by itself; None before it was asked.
    """

    key: str
    number: int
    candidate: int
    gpu: str | None
    launch_tag: str
    name: str
    sandbox_id: str | None = None
    dashboard: str | None = None
    claim: str | None = None
    asked_at: float | None = None
    created_at: float | None = None
    start_at: float | None = None
    end_at: float | None = None
    state: JobState = JobState.PENDING
    reason: Reason | None = None
    exit_code: int | None = None
    phase: Phase | None = None
    allotted_s: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """What was wanted, and what was last seen.

    Attributes:
        cluster: The label it was given; None for none.
        profile: Of Modal's configuration, as it was set at the launch.
        environment: Of the control plane, as it was set at the launch; None for the default.
        control_plane: With `workspace` and `served_from`, whose view of which control plane launched it.
        served_from: The environment that the control plane said it was.
        current: The newest attempt.
        failure: Why a launch failed: `error`, `message`, `hint`.
        waiting_for: What it waits for, in words.
        needs_values: Whether it has values of `envs` or `secrets`, without which it cannot be created.
        secret: The named secret that holds them; None where nothing does, or no longer.
        cancel_by: Who wanted its end; None for nobody.
        launch_until: After that time it is not created any more.
        wait_for_gpu_s: Seconds for which each attempt asks for a GPU, from its first asking on; None where
            none is wanted.
        seen_at: When the control plane last said anything about it.
        missing_at: When the control plane first said that it does not know it, and has not known it since.
        git_commit: Of the work dir.
        git_dirty: Whether the work dir differed from it.
        watched: Whether another attempt may follow the end of one, so that somebody has to watch it.
        again_at: When the newest attempt may be begun at the earliest; None for at once.
        restarts: How often it was started again; a successor that only continues a chain is none.
        cost: US dollars of all attempts, by the control plane's own figures; None where it told none.
        cost_at: When it told them.
    """

    key: str
    name: str
    cluster: str | None
    cloud: str
    app: str
    profile: str | None
    environment: str | None
    control_plane: str
    workspace: str
    served_from: str
    current: Attempt
    needs_values: bool
    launch_until: float
    submit_time: float
    state: JobState = JobState.PENDING
    reason: Reason | None = None
    exit_code: int | None = None
    phase: Phase | None = None
    failure: Mapping[str, str | None] | None = None
    waiting_for: str | None = None
    secret: str | None = None
    cancel_by: str | None = None
    cancel_at: float | None = None
    start_at: float | None = None
    end_at: float | None = None
    seen_at: float | None = None
    missing_at: float | None = None
    git_commit: str | None = None
    git_dirty: bool | None = None
    watched: bool = False
    again_at: float | None = None
    restarts: int = 0
    cost: float | None = None
    cost_at: float | None = None
    wait_for_gpu_s: float | None = None

    @property
    def sandbox_id(self) -> str | None:
        return self.current.sandbox_id


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """What is needed to create a job's sandbox, but for the values of its environment.

    Attributes:
        config: The job file's content with the values left out, and the Volume of its outputs.
        candidates: Their `env` is empty.
        prices: US dollars an hour of each candidate, where its launcher knew them; else empty.
    """

    config: Mapping[str, Any]
    candidates: tuple[SandboxSpec, ...]
    prices: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Intended:
    """A new job with what it is made from.

    Attributes:
        job: Its row.
        config: The job file's content with the values left out.
        candidates: What may be created for it.
        prices: US dollars an hour of each of them, where known.
    """

    job: Job
    config: Mapping[str, Any]
    candidates: tuple[SandboxSpec, ...]
    prices: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """An attempt's sandbox that exists now, and where a browser shows it."""

    attempt: Attempt
    sandbox_id: str
    dashboard: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """Something that happened to a job.

    Attributes:
        at: Seconds since the epoch.
        kind: `intended`, `asked`, `created`, `running`, `ended`, `again`, `cancel_wanted`, `missing` …
        detail: What else is to be said.
    """

    at: float
    kind: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Unarchived:
    """An attempt whose log is not yet archived.

    Attributes:
        ended: Whether it has ended, so that its log grows no more.
    """

    key: str
    number: int
    ended: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How an attempt ended.

    Attributes:
        cut: Whether the wrapper ended it to make room for a successor.
        began_at: When its scripts started, as its log tells; None where that was not read.
        ended_at: Likewise when it ended.
    """

    state: JobState
    reason: Reason | None = None
    exit_code: int | None = None
    phase: Phase | None = None
    failure: Mapping[str, str | None] | None = None
    cut: bool = False
    began_at: float | None = None
    ended_at: float | None = None
