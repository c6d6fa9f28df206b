"""What the keeper does: hold launches, and write their sandboxes' ids down while they still block."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trebuchet.errors import CapacityError, TrebuchetError
from trebuchet.keeper.archiving import Archiving
from trebuchet.keeper.watch import Watch
from trebuchet.lifecycle import candidates, reconcile
from trebuchet.lifecycle.again import is_due

if TYPE_CHECKING:
    from collections.abc import Callable

    from trebuchet.ledger import Job
    from trebuchet.lifecycle.context import Context
    from trebuchet.lifecycle.contexts import Contexts

_FIRST_LOOK_S = 0.3
"""Most creations that do not wait for a GPU are back by then, and need no look-up."""

_LONGEST_LOOK_S = 5.0
_REST_S = 5.0
_PAUSE_WITHOUT_CAPACITY_S = 10.0


@dataclass
class _Hold:
    """A launch that is held: its thread, and when its id is looked for next."""

    job: Job
    thread: threading.Thread
    next_look: float = field(default_factory=lambda: time.monotonic() + _FIRST_LOOK_S)
    pause: float = _FIRST_LOOK_S


class Keeper:
    """Holds what the ledger wants created with a GPU, for one cloud.

    Args:
        contexts: The ledger and its control planes.
        cloud: Whose jobs it holds.
        wake: Called when there is something to do before the pause of `turn` is over.
    """

    def __init__(self, contexts: Contexts, cloud: str, *, wake: Callable[[], None]) -> None:
        self._contexts = contexts
        self._cloud = cloud
        self._wake = wake
        self._holds: dict[str, _Hold] = {}
        self._watch = Watch(contexts, cloud, wake=wake)
        self._archiving = Archiving(contexts, cloud, wake=wake)

    @property
    def holding(self) -> bool:
        """Whether something would be lost, or come late, if this process went."""
        return bool(self._holds) or self._watch.has_jobs or self._archiving.has_jobs

    def turn(self) -> float:
        """Take up what is wanted, look for ids, let go of what is done; the seconds until the next turn."""
        self._holds = {key: hold for key, hold in self._holds.items() if hold.thread.is_alive()}
        for job in self._contexts.ledger.jobs(cloud=self._cloud, unfinished=True):
            if job.current.gpu is not None and job.sandbox_id is None and job.key not in self._holds:
                self._take_up(job)
        pauses = [self._learn_id(hold) for hold in self._holds.values()]
        return min([_REST_S, self._watch.turn(), self._archiving.turn(), *pauses])

    def _take_up(self, job: Job) -> None:
        context = self._contexts.of_job(job)
        if not is_due(job, context.clock.now()):
            return
        if job.current.claim is not None and context.claims.is_alive(job.current.claim):
            return
        if not context.sees(job):
            return
        thread = threading.Thread(target=self._hold, args=(context, job), daemon=True, name=job.key)
        self._holds[job.key] = _Hold(job, thread)
        thread.start()

    def _hold(self, context: Context, job: Job) -> None:
        try:
            hold(context, job)
        except TrebuchetError as error:
            print(f"{job.key}: {type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201 - the keeper's log
        finally:
            self._wake()

    def _learn_id(self, hold: _Hold) -> float:
        """Find the id of a sandbox that `create` has not given yet; the seconds until the next look."""
        now = time.monotonic()
        if now >= hold.next_look:
            context = self._contexts.of_job(hold.job)
            job = context.fresh(hold.job)
            if job.sandbox_id is None and job.end_at is None:
                self._look(context, job)
                hold.pause = min(hold.pause * 2, _LONGEST_LOOK_S)
            else:
                self._end_waiting(context, job)
                hold.pause = _LONGEST_LOOK_S
            hold.next_look = time.monotonic() + min(hold.pause, _left(context, job))
        return max(0.0, hold.next_look - time.monotonic())

    def _end_waiting(self, context: Context, job: Job) -> None:
        """End what waits in the queue where the job has waited long enough: `create` then fails."""
        if job.end_at is None and job.cancel_at is None and reconcile.is_out_of_patience(context, job):
            with suppress(TrebuchetError):  # Another look follows.
                reconcile.look_at(context, job)

    def _look(self, context: Context, job: Job) -> None:
        try:
            found = context.engine.find(context.tag("launch", job.current.launch_tag))
        except TrebuchetError:
            return  # Another look follows.
        if found:
            context.learn_id(job.current, found[0])


def _left(context: Context, job: Job) -> float:
    """Seconds that a job still waits for a GPU; the shortest look-up's pause once they are over."""
    return max(_FIRST_LOOK_S, job.launch_until - context.clock.now())


def hold(context: Context, job: Job) -> None:
    """Create a job's sandbox, however long that takes; its end is written if it cannot be had.

    Raises:
        ControlPlaneError: What there is could not be made out.
    """
    reconcile.settle_launch(context, job, _until_created)


def _until_created(context: Context, job: Job) -> None:
    alternatives = context.ledger.recipe(job.key).candidates
    while True:
        try:
            reconcile.create_as_written(context, job)
        except TrebuchetError as error:
            now = context.fresh(job)
            if now.current.number != job.current.number:
                return  # It was given up for the next candidate, which the next turn takes up.
            if not isinstance(error, CapacityError) or now.cancel_at is not None:
                raise
            if candidates.begin_next(context, now, error):
                return
            job = _once_more(context, now, (now.current.candidate + 1) % len(alternatives))
        else:
            context.ledger.running(context.fresh(job).current, at=context.clock.now())
            return


def _once_more(context: Context, job: Job, candidate: int) -> Job:
    """Ask again after a pause, where all candidates have been asked for.

    Raises:
        CapacityError: The time to ask is over.
    """
    gpu = context.ledger.recipe(job.key).candidates[candidate].gpu
    context.ledger.no_capacity(job.current, candidate=candidate, gpu=gpu, at=context.clock.now())
    context.clock.sleep(_PAUSE_WITHOUT_CAPACITY_S)
    job = context.fresh(job)
    if reconcile.is_out_of_patience(context, job):
        raise reconcile.no_gpu_in_time(job) from None
    return job
