"""When a job has another attempt: what its file says about that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trebuchet.status import JobState, Reason

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trebuchet.ledger import Attempt, Outcome

_ENDED_WITH_A_CODE = frozenset({Reason.EXIT, Reason.SETUP_FAILED, Reason.OUT_OF_MEMORY})
_NEVER_RAN = frozenset({Reason.LAUNCH_FAILED, Reason.SETUP_FAILED})
_ANY_REASON = ("preempted", "failure")


@dataclass(frozen=True, slots=True)
class Policy:
    """When a job is started again.

    Attributes:
        max_restarts: How often.
        restart_on: `preempted`, `failure`, and exit codes.
        max_restarts_on_errors: How many more times after failures that only `failure` covers; None to count
            all together.
    """

    max_restarts: int
    restart_on: Sequence[int | str]
    max_restarts_on_errors: int | None = None

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Policy:
        """The policy of a job file's content."""
        on = tuple(config.get("restart_on") or _ANY_REASON)
        return cls(config.get("max_restarts") or 0, on, config.get("max_restarts_on_errors"))

    def allows(self, outcome: Outcome, restarts: int, earlier: Sequence[Attempt]) -> bool:
        """Whether a job that ended so is to be started once more.

        Args:
            outcome: How its newest attempt ended.
            restarts: How often it was started again so far.
            earlier: The attempts before the newest.
        """
        if not self.covers(outcome):
            return False
        if self.max_restarts_on_errors is None:
            return restarts < self.max_restarts
        on_errors = sum(self._is_mere_failure(one) for one in earlier)
        if self._is_mere_failure(outcome):
            return on_errors < self.max_restarts_on_errors
        return restarts - on_errors < self.max_restarts

    def _is_mere_failure(self, ended: Attempt | Outcome) -> bool:
        return ended.reason in _ENDED_WITH_A_CODE and ended.exit_code not in self.restart_on

    def covers(self, outcome: Outcome) -> bool:
        """Whether a job that ended so is to be started again."""
        if outcome.state is not JobState.FAILED:
            return False
        if outcome.reason is Reason.EVICTED:
            return "preempted" in self.restart_on
        if outcome.reason not in _ENDED_WITH_A_CODE:
            return False
        return "failure" in self.restart_on or outcome.exit_code in self.restart_on


def may_follow(config: Mapping[str, Any], longest_s: int) -> bool:
    """Whether a job can have more than one attempt."""
    total = config.get("timeout")
    return bool(config.get("max_restarts")) or (total is not None and total > longest_s)


def resumes(attempts: Sequence[Attempt], number: int) -> bool:
    """Whether an attempt goes on after one whose script ran, so that there may be something to go on from."""
    return any(one.number < number and one.reason not in _NEVER_RAN for one in attempts)
