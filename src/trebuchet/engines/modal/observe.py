"""What a sandbox does, told as exactly as the SDK lets one tell it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from modal.exception import (
    ExecutionError,
    LogsFetchError,
    SandboxTerminatedError,
    SandboxTimeoutError,
)

from trebuchet.engines.base import Observation
from trebuchet.status import JobState, Reason

if TYPE_CHECKING:
    from collections.abc import Iterable

    import modal

_TIMED_OUT = 124
_ENDED_BY_REQUEST = 137
_LONGEST_MESSAGE = 500

_QUEUES = re.compile(r"sb-[0-9A-Za-z]{22}")
"""Ids of the older backend, which alone queues sandboxes: those with a GPU."""

_BEYOND_THE_LIMIT = timedelta(days=36)
"""More than logs can be asked for: refused by the SDK itself, once it knows where the logs are."""

_ENDED_FROM_OUTSIDE: dict[str, tuple[JobState, Reason]] = {
    "TIMEOUT": (JobState.FAILED, Reason.TIMEOUT),
    "TERMINATED": (JobState.CANCELLED, Reason.CANCELLED),
    "INIT_FAILURE": (JobState.FAILED, Reason.LAUNCH_FAILED),
    "INTERNAL_FAILURE": (JobState.FAILED, Reason.EVICTED),
    "IDLE_TIMEOUT": (JobState.FAILED, Reason.IDLE),
    "MEMORY_MANAGER_EVICTION": (JobState.FAILED, Reason.EVICTED),
    "MEMORY_THRASHING_EVICTION": (JobState.FAILED, Reason.OUT_OF_MEMORY),
    "KERNEL_OOM_KILL": (JobState.FAILED, Reason.OUT_OF_MEMORY),
}


def observe(sandbox: modal.Sandbox, *, scheduled: bool) -> Observation:
    """Tell the state of a sandbox that was looked up just now.

    Args:
        sandbox: Fresh from `from_id`, which brings the result.
        scheduled: Whether it is known to have left the queue.
    """
    sandbox_id = sandbox.object_id
    code = sandbox.returncode
    if code is not None:
        state, reason, exit_code = _ending(sandbox, code)
        message = _private_message(sandbox) if reason is Reason.LAUNCH_FAILED else None
        return Observation(id=sandbox_id, state=state, reason=reason, exit_code=exit_code, message=message)
    if scheduled or not _QUEUES.fullmatch(sandbox_id) or is_scheduled(sandbox):
        return Observation(id=sandbox_id, state=JobState.RUNNING)
    return Observation(id=sandbox_id, state=JobState.PENDING, waiting_for="a GPU")


def is_scheduled(sandbox: modal.Sandbox) -> bool:
    """Whether it has left the queue, by one call.

    The SDK tells only in passing: before it reads logs it looks up the task they belong to, and a queued
    sandbox has none. The range asked for is too long on purpose, so that the look-up is all that happens.
    """
    since = datetime.now(UTC) - _BEYOND_THE_LIMIT
    try:
        for _ in cast("Iterable[Any]", sandbox.logs.fetch(since=since)):
            return True
    except LogsFetchError:
        return True
    except ExecutionError:
        return False
    return True


def _ending(sandbox: modal.Sandbox, code: int) -> tuple[JobState, Reason, int | None]:
    """State, reason and exit code of a finished sandbox.

    124 and 137 are what the SDK shows for a time-out and a termination, but a program may exit with them
    itself. The result that came with the sandbox says which. Where it is not found, waiting for the finished
    sandbox tells them apart, at the cost of another call: it raises in the first case, not in the second.
    """
    status = _private_status(sandbox)
    if not status and code in {_TIMED_OUT, _ENDED_BY_REQUEST}:
        status = _status_by_waiting(sandbox)
    if ended := _ENDED_FROM_OUTSIDE.get(status):
        return *ended, code or None
    return (JobState.SUCCEEDED if code == 0 else JobState.FAILED), Reason.EXIT, code


def _status_by_waiting(sandbox: modal.Sandbox) -> str:
    try:
        sandbox.wait()
    except SandboxTimeoutError:
        return "TIMEOUT"
    except SandboxTerminatedError:
        return "TERMINATED"
    return ""


def _private_status(sandbox: modal.Sandbox) -> str:
    """The result's own status by name; empty where it is not found."""
    result = _private_result(sandbox)
    names: Any = getattr(result, "GenericStatus", None)
    return "" if names is None else str(names.Name(result.status)).removeprefix("GENERIC_STATUS_")


def _private_message(sandbox: modal.Sandbox) -> str | None:
    """What the result says went wrong, shortened to what a person reads; None where it says nothing."""
    said = str(getattr(_private_result(sandbox), "exception", "")).strip()
    if not said:
        return None
    return said if len(said) <= _LONGEST_MESSAGE else f"{said[:_LONGEST_MESSAGE]} …"


def _private_result(sandbox: modal.Sandbox) -> Any:
    """The result, from inside the SDK's object; None where it is not found there."""
    for inner in vars(sandbox).values():
        result: Any = getattr(getattr(inner, "_impl", None), "result", None)
        if result is not None:
            return result
    return None
