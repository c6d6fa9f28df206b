"""What the launcher offers to keep ledger and control planes in order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from trebuchet.launcher import refresh
from trebuchet.lifecycle.adopt import adopt_running

if TYPE_CHECKING:
    from trebuchet.client import Client
    from trebuchet.ledger import Job
    from trebuchet.lifecycle.contexts import Contexts
    from trebuchet.status import JobStatus


class Upkeep(ABC):
    """The part of `Launcher` that keeps things in order."""

    contexts: Contexts

    @abstractmethod
    def client(self, cloud: str) -> Client:
        """The client of a cloud."""

    @abstractmethod
    def _status(self, job: Job) -> JobStatus:
        """A row of the ledger as a status."""

    def reconcile(self) -> list[JobStatus]:
        """Move what is toward what was wanted, once; gives the jobs whose state changed by it."""
        before = self.contexts.ledger.jobs(unfinished=True)
        refresh.refresh(self.contexts, before)
        after = [self.contexts.ledger.job(job.key) or job for job in before]
        return [self._status(new) for old, new in zip(before, after, strict=True) if _changed(old, new)]

    def adopt(self, cloud: str) -> list[JobStatus]:
        """Write down the running jobs of the app that this ledger does not know; gives them.

        Raises:
            ControlPlaneError: They could not be listed.
        """
        context = self.contexts.of(self.client(cloud).cloud)
        found = adopt_running(context, context.engine.find({}))
        refresh.refresh(self.contexts, found)
        return [self._status(self.contexts.ledger.job(job.key) or job) for job in found]

    def prune(self, *, older_than_s: float) -> int:
        """Forget the jobs that ended longer ago than that; how many there were. Running ones stay."""
        return self.contexts.ledger.prune(before=self.contexts.clock.now() - older_than_s)


def _changed(old: Job, new: Job) -> bool:
    return (old.state, old.reason, old.sandbox_id) != (new.state, new.reason, new.sandbox_id)
