"""Archiving the logs of jobs that nobody follows, before their control plane lets go of them.

A log is read once, when its sandbox has ended; whether it has is told by one list for all jobs, at long
intervals. Only a sandbox that runs for many hours is read in between, since its beginning may be gone by
then. What is still to be archived stands in the ledger, and how far that got in the archive itself: a keeper
that was killed is followed by one that goes on in the middle of a log.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from trebuchet.errors import JobNotFoundError, TrebuchetError
from trebuchet.lifecycle.contexts import place_of
from trebuchet.lifecycle.log_chain import LogChain
from trebuchet.lifecycle.reconcile import reconcile
from trebuchet.telling import silent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Set

    from trebuchet.ledger import Job, Unarchived
    from trebuchet.lifecycle.context import Context
    from trebuchet.lifecycle.contexts import Contexts

_AT_ONCE = 4
_GROWTH = 1.5
_SETTLED = timedelta(seconds=60)
"""How old an entry of a running sandbox must be to be archived: until then an older one may still arrive."""

_TRIES = 6
"""After so many failures with one log this keeper lets it be; the next one tries again."""

_PAUSE_AFTER_FAILURE_S = 10.0
_LONGEST_PAUSE_AFTER_FAILURE_S = 600.0


@dataclass(frozen=True)
class Intervals:
    """How often is looked.

    Attributes:
        first_s: Seconds before the first look after a launch.
        longest_s: Between two looks, once they have become rarer.
        top_up_s: Between two readings of the log of a sandbox that still runs.
    """

    first_s: float
    longest_s: float
    top_up_s: float = 4 * 3_600.0


_INTERVALS = {"local": Intervals(first_s=2.0, longest_s=15.0)}
_FAR_AWAY = Intervals(first_s=15.0, longest_s=60.0)


@dataclass
class _Failures:
    """How often a log could not be archived, and when it is tried again."""

    count: int = 0
    not_before: float = 0.0
    said: str = ""

    def add(self, said: str) -> bool:
        """Take one more; whether it is worth saying."""
        new = said != self.said
        pause = min(_PAUSE_AFTER_FAILURE_S * 2**self.count, _LONGEST_PAUSE_AFTER_FAILURE_S)
        self.count, self.not_before, self.said = self.count + 1, time.monotonic() + pause, said
        return new


class Archiving:
    """Archives the logs of one cloud's jobs as they end.

    Args:
        contexts: The ledger and its control planes.
        cloud: Whose jobs.
        wake: Called when a look is over.

    Attributes:
        has_jobs: Whether there is, or will be, something to archive.
    """

    def __init__(self, contexts: Contexts, cloud: str, *, wake: Callable[[], None]) -> None:
        self._contexts = contexts
        self._cloud = cloud
        self._wake = wake
        self._intervals = _INTERVALS.get(cloud, _FAR_AWAY)
        self._pause = self._intervals.first_s
        self._next_look = 0.0
        self._known = set[tuple[str, int]]()
        self._topped_up: dict[tuple[str, int], float] = {}
        self._failures = defaultdict[tuple[str, int], _Failures](_Failures)
        self._look: threading.Thread | None = None
        self.has_jobs = False

    def turn(self) -> float:
        """Look, where it is time; the seconds until the next turn."""
        if self._look is not None and self._look.is_alive():
            return self._pause
        logs = self._wanted()
        self.has_jobs = bool(logs)
        names = {(one.key, one.number) for one in logs}
        if not names <= self._known:  # Most jobs that fail do so at once.
            self._pause = self._intervals.first_s
            self._next_look = time.monotonic() + self._pause
        self._known = names
        left = self._next_look - time.monotonic()
        if not logs or left > 0:
            return max(left, self._pause)
        self._pause = min(self._pause * _GROWTH, self._intervals.longest_s)
        self._next_look = time.monotonic() + self._pause
        self._look = threading.Thread(target=self._archive, args=(logs,), daemon=True, name="archive")
        self._look.start()
        return self._pause

    def _wanted(self) -> list[Unarchived]:
        """Logs that are to be archived and can be."""
        ledger = self._contexts.ledger
        if not self._contexts.settings.archive or not ledger.path.exists():
            return []
        unarchived = ledger.unarchived(self._cloud)
        self._forget_all_but({(one.key, one.number) for one in unarchived})
        logs = [one for one in unarchived if self._count((one.key, one.number)) < _TRIES]
        # What has stopped is not started for the sake of a log: it keeps it until somebody comes.
        return [] if not logs or self._contexts.of(self._cloud).engine.is_asleep() else logs

    def _forget_all_but(self, names: Set[tuple[str, int]]) -> None:
        """Let go of what is known of logs that are archived, or pruned."""
        for known in (self._failures, self._topped_up):
            for name in known.keys() - names:
                del known[name]

    def _count(self, name: tuple[str, int]) -> int:
        return self._failures[name].count if name in self._failures else 0

    def _archive(self, logs: list[Unarchived]) -> None:
        self._learn_ends(one for one in logs if not one.ended)
        wanted = {(one.key, one.number) for one in logs}
        now = [
            one
            for one in self._contexts.ledger.unarchived(self._cloud)
            if (one.key, one.number) in wanted and self._is_time(one)
        ]
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="archive") as pool:
            for _ in pool.map(self._keep, now):
                pass
        self._wake()

    def _learn_ends(self, running: Iterable[Unarchived]) -> None:
        """See which have ended; those that may have another attempt are looked at anyway."""
        groups = defaultdict[object, list["Job"]](list)
        for one in running:
            job = self._contexts.ledger.job(one.key)
            if job is not None and job.end_at is None and not job.watched:
                groups[place_of(job)].append(job)
        for jobs in groups.values():
            try:
                failures = reconcile(self._contexts.of_job(jobs[0]), jobs)
            except TrebuchetError as error:
                failures = dict.fromkeys((job.key for job in jobs), error)
            for job in jobs:
                if (error := failures.get(job.key)) is not None and not error.transient:
                    self._failed(job.key, job.current.number, error)

    def _is_time(self, log: Unarchived) -> bool:
        name = (log.key, log.number)
        if name in self._failures and time.monotonic() < self._failures[name].not_before:
            return False
        last = self._topped_up.setdefault(name, time.monotonic())
        return log.ended or time.monotonic() - last >= self._intervals.top_up_s

    def _keep(self, log: Unarchived) -> None:
        name = (log.key, log.number)
        self._topped_up[name] = time.monotonic()
        job = self._contexts.ledger.job(log.key)
        if job is None:
            return
        try:
            if keep(self._contexts.of_job(job), log):
                self._contexts.ledger.archived(log.key, log.number)
            self._failures.pop(name, None)
        except (TrebuchetError, OSError) as error:
            self._failed(log.key, log.number, error)

    def _failed(self, key: str, number: int, error: Exception) -> None:
        said = f"{key}: its log is not archived: {type(error).__name__}: {error}"
        if self._failures[key, number].add(said):
            print(said, file=sys.stderr)  # noqa: T201 - the keeper's log


def keep(context: Context, log: Unarchived) -> bool:
    """Archive what there is of an attempt's log; whether that is all that will be had of it.

    Raises:
        TrebuchetError: It could not be read.
        OSError: It could not be written.
    """
    chain = LogChain(context, log.key, follow=False, tell=silent)
    found = chain.known_after(log.number - 1)
    if found is None or found.number != log.number:
        return True
    try:
        return found.keep(until=datetime.fromtimestamp(context.clock.now(), UTC) - _SETTLED)
    except JobNotFoundError:
        return True
