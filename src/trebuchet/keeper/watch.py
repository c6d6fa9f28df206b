"""Watching jobs that may have another attempt, so that it begins even if nobody looks."""

from __future__ import annotations

import sys
import threading
import time
from collections import defaultdict
from typing import TYPE_CHECKING

from trebuchet.errors import TrebuchetError
from trebuchet.lifecycle.contexts import place_of
from trebuchet.lifecycle.reconcile import reconcile

if TYPE_CHECKING:
    from collections.abc import Callable

    from trebuchet.ledger import Job
    from trebuchet.lifecycle.contexts import Contexts

_PAUSES_S = {"local": 0.5}
_PAUSE_S = 10.0
"""Between two looks at a control plane far away; each costs one list."""


class Watch:
    """Reconciles the jobs of one cloud that may be started again or are links of a chain.

    Args:
        contexts: The ledger and its control planes.
        cloud: Whose jobs it watches.
        wake: Called when a look is over.
    """

    def __init__(self, contexts: Contexts, cloud: str, *, wake: Callable[[], None]) -> None:
        self._contexts = contexts
        self._cloud = cloud
        self._wake = wake
        self._pause = _PAUSES_S.get(cloud, _PAUSE_S)
        self._next_look = 0.0
        self._look: threading.Thread | None = None
        self.has_jobs = False

    def turn(self) -> float:
        """Look, where it is time; the seconds until the next turn."""
        jobs = self._contexts.ledger.jobs(cloud=self._cloud, watched=True)
        self.has_jobs = bool(jobs)
        if not jobs:
            return _PAUSE_S
        if self._look is not None and self._look.is_alive():
            return self._pause  # Creating a sandbox may take its time.
        left = self._next_look - time.monotonic()
        if left > 0:
            return left
        self._next_look = time.monotonic() + self._pause
        self._look = threading.Thread(target=self._reconcile, args=(jobs,), daemon=True, name="watch")
        self._look.start()
        return self._pause

    def _reconcile(self, jobs: list[Job]) -> None:
        groups = defaultdict[object, list["Job"]](list)
        for job in jobs:
            groups[place_of(job)].append(job)
        for group in groups.values():
            context = self._contexts.of_job(group[0])
            try:
                failures = reconcile(context, group)
            except TrebuchetError as error:
                failures = dict.fromkeys((job.key for job in group), error)
            for key, error in failures.items():
                print(f"{key}: {type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201 - the keeper's log
        self._wake()
