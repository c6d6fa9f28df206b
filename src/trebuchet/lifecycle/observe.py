"""From what a control plane says to how a job ended."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from trebuchet.errors import ControlPlaneError, LaunchError, NotFoundError
from trebuchet.ledger import Outcome
from trebuchet.status import JobState, Phase, Reason

if TYPE_CHECKING:
    from trebuchet.engines.base import Engine, Observation
    from trebuchet.ledger import Job
    from trebuchet.plan.markers import MarkerFilter

GAVE_UP = "the launch that failed"
"""Who wants the end of what a failed launch may have left."""

_MARKERS_WITHIN = 200
"""The wrapper speaks last; only what the job left running in the background can print after it."""

_KILLED = frozenset({None, 137, 143})


def outcome_of(engine: Engine, job: Job, seen: Observation, *, may_be_cut: bool) -> Outcome:
    """How a job ended, from a final observation.

    Args:
        engine: Its control plane.
        job: Its row.
        seen: The observation.
        may_be_cut: Whether it may have been asked to make room for a successor, so that its log has to tell.

    Raises:
        ControlPlaneError: The log, which tells `setup` from `run`, could not be read; ask again later.
    """
    if job.cancel_at is not None and (seen.state is JobState.CANCELLED or seen.exit_code in _KILLED):
        return cancelled(job)
    if seen.state is JobState.CANCELLED:
        return Outcome(state=JobState.CANCELLED, reason=Reason.CANCELLED)
    if seen.state is JobState.SUCCEEDED and not may_be_cut:
        return _succeeded(engine, job, seen)
    if seen.reason is not Reason.EXIT:
        failure = None if seen.message is None else _failure(LaunchError(seen.message, hint=_hint(seen)))
        return Outcome(state=seen.state, reason=seen.reason, exit_code=seen.exit_code, failure=failure)
    return _by_its_log(engine, job, seen)


def _hint(seen: Observation) -> str | None:
    """What to do about a sandbox that could not start, as far as its control plane's words tell."""
    if seen.reason is Reason.LAUNCH_FAILED and "bash" in (seen.message or ""):
        return "The scripts of a job are run by bash: use an image that has it."
    return None


def _succeeded(engine: Engine, job: Job, seen: Observation) -> Outcome:
    """The end of a job that nothing is left to be told of but when it ran."""
    outcome = Outcome(state=seen.state, reason=seen.reason, exit_code=seen.exit_code, phase=Phase.DONE)
    try:
        said, when = _last_words(engine, seen.id, job.key)
    except ControlPlaneError:
        return outcome
    return replace(outcome, began_at=said.began_at, ended_at=when)


def _by_its_log(engine: Engine, job: Job, seen: Observation) -> Outcome:
    """How scripts ended that the control plane saw end by themselves."""
    said, when = _last_words(engine, seen.id, job.key)
    if said.cut:
        # Whatever its scripts made of being asked to go, it is not what the job ends with.
        return Outcome(
            state=JobState.FAILED,
            reason=Reason.TIMEOUT,
            exit_code=seen.exit_code,
            phase=said.phase,
            cut=True,
            began_at=said.began_at,
            ended_at=when,
        )
    reason = Reason.SETUP_FAILED if said.setup_failed else Reason.EXIT
    succeeded = seen.state is JobState.SUCCEEDED
    return Outcome(
        state=seen.state,
        reason=seen.reason if succeeded else reason,
        exit_code=seen.exit_code,
        phase=Phase.DONE if succeeded else said.phase,
        began_at=said.began_at,
        ended_at=when,
    )


def cancelled(job: Job) -> Outcome:
    """The end of a job whose end somebody wanted."""
    if job.cancel_by == GAVE_UP:
        return Outcome(state=JobState.FAILED, reason=Reason.LAUNCH_FAILED, failure=job.failure)
    return Outcome(state=JobState.CANCELLED, reason=Reason.CANCELLED)


def launch_failed(error: BaseException) -> Outcome:
    """The end of a job that has no sandbox."""
    return Outcome(state=JobState.FAILED, reason=Reason.LAUNCH_FAILED, failure=_failure(error))


def _failure(error: BaseException) -> dict[str, str | None]:
    return {
        "error": type(error).__name__,
        "message": str(error),
        "hint": getattr(error, "hint", None),
    }


def _last_words(engine: Engine, sandbox_id: str, key: str) -> tuple[MarkerFilter, float | None]:
    """What the wrapper said last, and when."""
    from trebuchet.plan.markers import MarkerFilter, nonce_for  # noqa: PLC0415 - most look-ups see no end

    markers, when = MarkerFilter(nonce_for(key)), None
    try:
        for entry in engine.logs(sandbox_id, tail=_MARKERS_WITHIN, source="stderr"):
            markers.feed(entry.message)
            if markers.exit_code is not None and when is None:
                when = entry.timestamp.timestamp()
    except (ControlPlaneError, NotFoundError) as error:
        if error.transient:
            raise  # Another look may find it, and with it that a successor is to follow.
        # The log is gone; that it failed is known all the same.
    return markers, when
