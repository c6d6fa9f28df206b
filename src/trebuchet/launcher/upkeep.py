"""What the launcher offers to keep ledger and control planes in order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING

from trebuchet.errors import AuthenticationError
from trebuchet.launcher import refresh
from trebuchet.lifecycle.adopt import adopt_running
from trebuchet.lifecycle.orphans import Orphan, end_orphans, orphans

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trebuchet.client import Client
    from trebuchet.launcher.pruning import Pruned
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
    def which_clouds(self) -> list[str]:
        """Names of all clouds."""

    @abstractmethod
    def _status(self, job: Job) -> JobStatus:
        """A row of the ledger as a status."""

    def reconcile(self) -> list[JobStatus]:
        """Move what is toward what was wanted, once; gives the jobs whose state changed by it."""
        self.rebuild()
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

    def rebuild(self) -> None:
        """Write what runs into a ledger that took the place of a damaged one; nothing where none did."""
        if not self.contexts.ledger.needs_rebuild:
            return
        self.adopt_everywhere()
        self.contexts.ledger.rebuilt()

    def adopt_everywhere(self) -> list[JobStatus]:
        """As `adopt`, on every cloud that this user has a way to.

        Raises:
            ControlPlaneError: One of them gave no answer.
        """
        found = list["JobStatus"]()
        for cloud in self.which_clouds():
            with suppress(AuthenticationError):
                found += self.adopt(cloud)
        return found

    def orphans(self, cloud: str | None = None) -> list[Orphan]:
        """What runs in the app and is no job's of this ledger, or outlived its job.

        What another machine launched is among them until it is adopted; `abandoned` tells which are known to
        be needed by nobody.

        Args:
            cloud: Only there; None for every cloud that this user has a way to.

        Raises:
            ControlPlaneError: It could not be listed.
        """
        if cloud is not None:
            return orphans(self.contexts.of(self.client(cloud).cloud))
        found = list[Orphan]()
        for name in self.which_clouds():
            with suppress(AuthenticationError):
                found += orphans(self.contexts.of(name))
        return found

    def end_orphans(self, found: Sequence[Orphan]) -> None:
        """Ask for the end of what `orphans` gave.

        Raises:
            ControlPlaneError: It could not be asked for.
        """
        for orphan in found:
            end_orphans(self.contexts.of(orphan.cloud), [orphan])

    def prune(self, *, older_than_s: float, outputs: bool = False) -> Pruned:
        """Forget the jobs that ended longer ago than that, and their logs.

        A key that was forgotten is not launched again.

        Args:
            older_than_s: Seconds.
            outputs: Also those with outputs, which are deleted; without it these jobs stay known.
        """
        from trebuchet.launcher.pruning import prune  # noqa: PLC0415 - a status forgets nothing

        return prune(self.contexts, before=self.contexts.clock.now() - older_than_s, outputs=outputs)


def _changed(old: Job, new: Job) -> bool:
    return (old.state, old.reason, old.sandbox_id) != (new.state, new.reason, new.sandbox_id)
