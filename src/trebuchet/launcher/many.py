"""Launching many jobs at once, within the service's limits."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from trebuchet.errors import TrebuchetError
from trebuchet.lifecycle.volley import Volley, Wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trebuchet.client import Client
    from trebuchet.job import JobConfig
    from trebuchet.launcher.launcher import Launcher
    from trebuchet.ledger import Job
    from trebuchet.lifecycle.clock import Clock
    from trebuchet.plan.model import Plan
    from trebuchet.status import JobStatus

    OnDone = Callable[[int, JobStatus | TrebuchetError], None]

_AT_ONCE = 64
_TOGETHER = 100
"""How many are written down in one transaction: each of these waits for the disk.

While some are on their way, the next are made ready.
"""

_A_SECOND = 5.0
_BURST = 150
_NO_TIME_S = 0.001


class Rate:
    """A bucket of permissions that fills at a steady rate.

    Args:
        clock: Tells the time, and lets it pass.
        a_second: How many permissions come in a second.
        burst: How many there can be at once, and are at the beginning.
    """

    def __init__(self, clock: Clock, *, a_second: float = _A_SECOND, burst: int = _BURST) -> None:
        self._clock = clock
        self._interval = 1 / a_second
        self._head_start = burst * self._interval
        self._next = clock.now() - self._head_start
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Take one permission, as soon as there is one."""
        with self._lock:
            now = self._clock.now()
            self._next = max(self._next, now - self._head_start) + self._interval
            pause = self._next - now
        if pause > _NO_TIME_S:
            self._clock.sleep(pause)

    def take(self, most: int) -> int:
        """Take so many permissions, or as many as there are; one at least, as soon as there is one."""
        self.wait()
        with self._lock:
            there = int((self._clock.now() - self._next) / self._interval)
            more = max(0, min(most - 1, there))
            self._next += more * self._interval
        return 1 + more


def up_many(
    launcher: Launcher,
    jobs: Sequence[JobConfig],
    cluster: str | None,
    *,
    cloud: str | None,
    on_done: OnDone | None,
) -> list[JobStatus | TrebuchetError]:
    """See `Launcher.up_many`."""
    return _Many(launcher, jobs, cluster, cloud, on_done).launch()


class _Many:
    """One call of `up_many`."""

    def __init__(
        self,
        launcher: Launcher,
        jobs: Sequence[JobConfig],
        cluster: str | None,
        cloud: str | None,
        on_done: OnDone | None,
    ) -> None:
        self._launcher = launcher
        self._jobs = jobs
        self._cluster = cluster
        self._cloud = cloud
        self._on_done = on_done
        self._rate = Rate(launcher.contexts.clock)
        self._results: dict[int, JobStatus | TrebuchetError] = {}
        self._volleys: dict[str, Volley] = {}
        self._planners: dict[str, Callable[[JobConfig], Plan]] = {}
        self._alone: list[Future[None]] = []
        self._given_up = threading.Event()

    def launch(self) -> list[JobStatus | TrebuchetError]:
        with ThreadPoolExecutor(max_workers=_AT_ONCE, thread_name_prefix="launch") as pool:
            try:
                for begin in range(0, len(self._jobs), _TOGETHER):
                    self._launch_some(range(begin, min(begin + _TOGETHER, len(self._jobs))), pool)
                for volley in self._volleys.values():
                    volley.settle(wait=True)
                for launch in self._alone:
                    launch.result()  # Nothing unexpected is to be lost in a thread.
            except BaseException:
                self._given_up.set()
                pool.shutdown(wait=False, cancel_futures=True)
                for volley in self._volleys.values():
                    volley.abandon()
                raise
        return [self._results[place] for place in range(len(self._jobs))]

    def _launch_some(self, places: Sequence[int], pool: ThreadPoolExecutor) -> None:
        together = dict[str, list[Wanted]]()
        for place in places:
            client = self._client(place)
            wanted = None if client is None else self._wanted(client, place)
            if client is None or wanted is None:
                continue
            if wanted.needs_nobody:
                together.setdefault(client.cloud, []).append(wanted)
            else:
                self._alone.append(pool.submit(self._launch_alone, place))
        for cloud, left in together.items():
            while left:
                count = self._rate.take(len(left))
                self._begin(cloud, left[:count], pool)
                del left[:count]

    def _begin(self, cloud: str, wanted: Sequence[Wanted], pool: ThreadPoolExecutor) -> None:
        try:
            for one in self._volley(cloud).begin(wanted):
                self._alone.append(pool.submit(self._launch_alone, one.place))
        except TrebuchetError as error:
            for one in wanted:
                self._tell(one.place, error)

    def _volley(self, cloud: str) -> Volley:
        if cloud not in self._volleys:
            client = self._launcher.client(cloud)

            def tell(place: int, result: Job | TrebuchetError) -> None:
                told = result if isinstance(result, TrebuchetError) else client.launched(result)
                self._tell(place, told)

            self._volleys[cloud] = Volley(self._launcher.contexts.of(cloud), self._cluster, tell)
        return self._volleys[cloud]

    def _client(self, place: int) -> Client | None:
        try:
            return self._launcher.client_for(self._jobs[place], self._cloud)
        except TrebuchetError as error:
            self._tell(place, error)
            return None

    def _wanted(self, client: Client, place: int) -> Wanted | None:
        job = self._jobs[place]
        try:
            if client.cloud not in self._planners:
                self._planners[client.cloud] = client.planner()
            plan = self._planners[client.cloud](job)
            return Wanted(place, job, plan, client.prices(job, plan))
        except TrebuchetError as error:
            self._tell(place, error)
            return None

    def _launch_alone(self, place: int) -> None:
        self._rate.wait()
        if self._given_up.is_set():
            return
        try:
            _, status = self._launcher.up(
                self._jobs[place], self._cluster, cloud=self._cloud, on_waiting=self._keep_waiting
            )
        except TrebuchetError as error:
            self._tell(place, error)
        else:
            self._tell(place, status)

    def _keep_waiting(self, _status: JobStatus) -> None:
        """Interrupt a launch that waits for a GPU, from within, once all of them are interrupted."""
        if self._given_up.is_set():
            raise KeyboardInterrupt

    def _tell(self, place: int, result: JobStatus | TrebuchetError) -> None:
        self._results[place] = result
        if self._on_done is not None:
            self._on_done(place, result)
