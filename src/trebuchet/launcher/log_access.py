"""What the launcher offers about what jobs print and write."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from trebuchet.launcher.search import sandbox_of

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from trebuchet.client import Client
    from trebuchet.client.inside import Inside
    from trebuchet.client.log_reading import LogReading
    from trebuchet.client.outputs import Outputs
    from trebuchet.ledger import Job
    from trebuchet.lifecycle.contexts import Contexts
    from trebuchet.status import LogSource


class LogAccess(ABC):
    """The part of `Launcher` that reads logs."""

    contexts: Contexts

    @abstractmethod
    def client(self, cloud: str) -> Client:
        """The client of a cloud."""

    @abstractmethod
    def job(self, ref: str) -> Job:
        """The ledger's row of a job."""

    def inside(self, ref: str) -> Inside:
        """A running job from within: commands, a shell, files to and fro, its ports.

        Raises:
            JobNotFoundError: No such job.
        """
        job = self.job(ref)
        return self.client(job.cloud).inside(job)

    def outputs(self, ref: str) -> Outputs:
        """What a job wrote to `/outputs`: to be listed, read, pulled, removed.

        Raises:
            JobNotFoundError: No such job.
        """
        job = self.job(ref)
        return self.client(job.cloud).outputs(job)

    def logs(
        self,
        ref: str,
        *,
        follow: bool = False,
        since: datetime | None = None,
        tail: int | None = None,
        source: LogSource | None = None,
        attempt: int | None = None,
        cursor: str | None = None,
        tell: Callable[[str], None] | None = None,
    ) -> LogReading:
        """Output of a job without our marker lines, oldest first; with `follow` until it has ended.

        All attempts of a job are one log. What the archive has is read from there, the rest from the control
        plane.

        Args:
            ref: As `find` takes it.
            follow: Go on until the job has ended and all of its output was given; this archives it too.
            since: Only what was received from then on.
            tail: Only the last so many lines of what there is; with `follow`, and what comes after them.
            source: Only this stream.
            attempt: Only this attempt's.
            cursor: Go on where an earlier reading stopped: its `cursor`.
            tell: Is told what a reader should know: that this comes from the archive, and the like.

        Raises:
            JobNotFoundError: No such job, or it has no such attempt.
            UsageError: The cursor is none of this job's.
            ClusterUnreachableError: The connection broke and stayed away; the log goes on, unseen.
        """
        job = self.job(ref)
        _require_cursor_of([job], cursor)
        return self._log_of(
            job, follow=follow, since=since, tail=tail, source=source,
            attempt=attempt, cursor=cursor, tell=tell,
        )  # fmt: skip

    def _log_of(self, job: Job, *, attempt: int | None, **query: Any) -> LogReading:
        if attempt is not None:
            sandbox_of(self.contexts.ledger, job, attempt)
        return self.client(job.cloud).logs(job, attempt=attempt, **query)

    def logs_of(
        self,
        refs: Sequence[str],
        *,
        follow: bool = False,
        since: datetime | None = None,
        tail: int | None = None,
        source: LogSource | None = None,
        attempt: int | None = None,
        grep: re.Pattern[str] | None = None,
        whole_lines: bool = False,
        cursor: str | None = None,
        tell: Callable[[str], None] | None = None,
    ) -> LogReading:
        """The logs of several jobs as one, in the order of time; with `follow` as they come.

        Args:
            refs: As `find` takes them.
            follow: As in `logs`.
            since: As in `logs`.
            tail: As in `logs`, of each job.
            source: As in `logs`.
            attempt: As in `logs`.
            grep: Only lines in which this is found.
            whole_lines: Give an entry a line, rather than as the jobs' output was cut.
            cursor: As in `logs`.
            tell: As in `logs`.

        Raises:
            JobNotFoundError: No such job, or it has no such attempt.
            UsageError: The cursor is none of these jobs'.
            ClusterUnreachableError: A connection broke and stayed away; the log goes on, unseen.
        """
        from trebuchet.client.log_reading import ALL_LINES, joined  # noqa: PLC0415 - a status reads no log

        # The lines in which something is found are counted, and for that all must be looked at.
        of_all = ALL_LINES if tail is not None and follow else None
        lines = whole_lines or grep is not None
        jobs = [self.job(ref) for ref in refs]
        _require_cursor_of(jobs, cursor)
        readings = [
            self._log_of(
                job, follow=follow, since=since, tail=of_all if grep else tail, source=source,
                attempt=attempt, cursor=cursor, tell=tell,
            )
            for job in jobs
        ]  # fmt: skip
        return joined(readings, follow=follow, lines=lines, grep=grep, tail=tail if grep else None)


def _require_cursor_of(jobs: Sequence[Job], cursor: str | None) -> None:
    from trebuchet.logs.place import require_of  # noqa: PLC0415 - a status reads no log

    if cursor is not None:
        require_of(cursor, {job.key: job.current.number for job in jobs})
