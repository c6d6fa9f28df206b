"""Launching many jobs at once, within the service's limits."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from trebuchet.errors import TrebuchetError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trebuchet.job import JobConfig
    from trebuchet.launcher.launcher import Launcher
    from trebuchet.lifecycle.clock import Clock
    from trebuchet.status import JobStatus

_AT_ONCE = 64
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


def up_many(
    launcher: Launcher,
    jobs: Sequence[JobConfig],
    cluster: str | None,
    *,
    cloud: str | None,
    on_done: Callable[[int, JobStatus | TrebuchetError], None] | None,
) -> list[JobStatus | TrebuchetError]:
    """See `Launcher.up_many`."""
    rate = Rate(launcher.contexts.clock)

    def launch(place: int) -> JobStatus | TrebuchetError:
        rate.wait()
        try:
            _, result = launcher.up(jobs[place], cluster, cloud=cloud)
        except TrebuchetError as error:
            result = error
        if on_done is not None:
            on_done(place, result)
        return result

    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - heavy, and rarely needed

    if not jobs:
        return []
    # The first alone: it finds the app, the image and the volumes, which the others then need not look for.
    first = launch(0)
    with ThreadPoolExecutor(max_workers=_AT_ONCE, thread_name_prefix="launch") as pool:
        return [first, *pool.map(launch, range(1, len(jobs)))]
