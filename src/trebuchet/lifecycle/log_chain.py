"""The logs of a job's attempts, one after the other, as the ledger learns of them."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from trebuchet.lifecycle import launch, reconcile
from trebuchet.logs.archive import SUFFIX, Archive
from trebuchet.logs.attempt import AttemptLog

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trebuchet.ledger import Attempt, Job
    from trebuchet.lifecycle.context import Context

_PAUSES_S = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)

_KEPT_S = 86_400.0
"""How long the control plane that keeps logs for the shortest time keeps them: Modal's free plan, a day."""

_SKEW_S = {"local": 1.0}
_SKEW_FAR_AWAY_S = 300.0
"""How far the clock of a control plane may be behind this machine's."""


def archive_folder(home: Path, key: str) -> Path:
    """Where the logs of a job's attempts are kept."""
    return home / "logs" / key


class LogChain:
    """Gives the logs of a job's attempts.

    Args:
        context: The job's control plane.
        key: The job's.
        follow: Whether to wait for attempts that are not there yet.
        tell: Is told what the reader of a log should know.
    """

    def __init__(self, context: Context, key: str, *, follow: bool, tell: Callable[[str], None]) -> None:
        self._context = context
        self._key = key
        self._follow = follow
        self._tell = tell

    def after(self, number: int) -> AttemptLog | None:
        """The log of the next attempt after the one of this number; None where none follows.

        Raises:
            TrebuchetError: What kept the next attempt from being created.
        """
        turn = 0
        while (job := self._context.ledger.job(self._key)) is not None:
            if (log := self.known_after(number)) is not None:
                return log
            if not self._follow or job.end_at is not None:
                return None
            if job.sandbox_id is not None and job.current.claim is None:
                reconcile.look_at(self._context, job)
                if self._context.fresh(job).end_at is not None:
                    continue
            self._context.clock.sleep(_PAUSES_S[min(turn, len(_PAUSES_S) - 1)])
            turn += 1
        return None

    def known_after(self, number: int) -> AttemptLog | None:
        """The same for attempts that the ledger has by now."""
        job = self._context.ledger.job(self._key)
        for attempt in self._context.ledger.attempts(self._key):
            if job is not None and attempt.number > number:
                return self._log_of(job, attempt)
        return None

    def _with_its_sandbox(self, attempt: Attempt) -> Attempt:
        """An attempt as it is once it has a sandbox, or has ended; by then the job may be at a later one."""
        while True:
            job = self._context.ledger.job(self._key)
            attempts = self._context.ledger.attempts(self._key)
            attempt = next((one for one in attempts if one.number == attempt.number), attempt)
            settled = attempt.sandbox_id is not None or attempt.end_at is not None
            if settled or job is None or job.end_at is not None:
                return attempt
            launch.await_id(self._context, job, progress=launch.Silence())

    def _log_of(self, job: Job, attempt: Attempt) -> AttemptLog:
        if self._follow:
            attempt = self._with_its_sandbox(attempt)
        folder = archive_folder(self._context.settings.home, self._key)
        return AttemptLog(
            number=attempt.number,
            engine=self._context.engine,
            sandbox_id=attempt.sandbox_id,
            archive=Archive(folder / f"{attempt.number}{SUFFIX}"),
            oldest=self._oldest(job, attempt),
            ended=attempt.end_at is not None,
            old=attempt.end_at is not None and self._context.clock.now() - attempt.end_at > _KEPT_S,
            tell=self._tell,
            archived=partial(self._context.ledger.archived, self._key, attempt.number),
        )

    def _oldest(self, job: Job, attempt: Attempt) -> datetime | None:
        """A time before which its log has nothing; None for a job of another ledger, of unknown age.

        Not from when the sandbox's id was learnt: after a crash that may have been long after its creation.
        """
        if not self._context.ledger.recipe(self._key).candidates:
            return None
        begun = job.submit_time
        for earlier in self._context.ledger.attempts(self._key):
            if earlier.number < attempt.number and earlier.end_at is not None:
                begun = max(begun, earlier.end_at)
        skew = _SKEW_S.get(self._context.engine.cloud, _SKEW_FAR_AWAY_S)
        return datetime.fromtimestamp(begun - skew, UTC)
