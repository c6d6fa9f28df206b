"""What the launcher offers to keep ledger and control planes in order."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING

from trebuchet.errors import AuthenticationError, ControlPlaneError, LocalEngineError
from trebuchet.launcher import refresh
from trebuchet.lifecycle.adopt import adopt_running
from trebuchet.lifecycle.orphans import Orphan, end_orphans, orphans

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

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
        """Write what runs into a ledger that took the place of a damaged one; nothing where none did.

        Warns of a cloud that gives no answer: what runs there is written down the next time.
        """
        marker = self.contexts.ledger.rebuild_marker
        if not marker.is_there:
            return
        silent = self._adopt_from(cloud for cloud in self.which_clouds() if cloud not in marker.clouds())
        for cloud, why in silent.items():
            warnings.warn(f"What runs on {cloud} is not yet found again: {why}", stacklevel=3)
        if not silent:
            marker.remove()
            return
        for cloud in self.which_clouds():
            if cloud not in silent:
                marker.add(cloud)

    def adopt_everywhere(self, cloud: str | None = None) -> dict[str, str]:
        """As `adopt`, on every cloud that this user has a way to, or on one of them.

        Returns:
            By cloud, why it could not be asked.
        """
        return self._adopt_from(self.which_clouds() if cloud is None else [cloud])

    def _adopt_from(self, clouds: Iterable[str]) -> dict[str, str]:
        silent = dict[str, str]()
        for cloud in clouds:
            try:
                self.adopt(cloud)
            except AuthenticationError:
                continue  # There is no way to it, and so nothing of this user's.
            except (ControlPlaneError, LocalEngineError) as error:
                silent[cloud] = str(error)
        return silent

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
