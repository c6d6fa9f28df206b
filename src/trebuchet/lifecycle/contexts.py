"""The ledger of one home, and the control planes that its jobs live on."""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, cast

from trebuchet.engines import engine_for
from trebuchet.ledger import Ledger
from trebuchet.lifecycle.claims import Claims
from trebuchet.lifecycle.clock import SystemClock
from trebuchet.lifecycle.context import Context
from trebuchet.lifecycle.steps import SteppedEngine, step

if TYPE_CHECKING:
    from trebuchet.engines.base import Engine
    from trebuchet.ledger import Job
    from trebuchet.lifecycle.clock import Clock
    from trebuchet.settings import Settings

_Place = tuple[str, str, str | None, str | None]


class Contexts:
    """Opens the ledger and makes engines when they are first needed, each once.

    Args:
        settings: Those of new launches.
        clock: For tests of what takes hours.
    """

    def __init__(self, settings: Settings, *, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock = clock or SystemClock()
        self._claims = Claims(settings.home / "claims")
        self._made: dict[_Place, Context] = {}
        self._lock = threading.Lock()

    @cached_property
    def ledger(self) -> Ledger:
        return Ledger(self.settings.home / "ledger.sqlite3", on_step=step)

    def of(self, cloud: str) -> Context:
        """Where a new job of this cloud goes.

        Raises:
            UsageError: There is no such cloud.
        """
        return self._at((cloud, self.settings.app_name, self.settings.profile, self.settings.environment))

    def of_job(self, job: Job) -> Context:
        """Where a job was launched: in its app, with its profile and environment."""
        return self._at(place_of(job))

    def _at(self, place: _Place) -> Context:
        with self._lock:
            if place not in self._made:
                cloud, app, profile, environment = place
                settings = replace(self.settings, app_name=app, profile=profile, environment=environment)
                self._made[place] = Context(
                    ledger=self.ledger,
                    engine=cast("Engine", SteppedEngine(engine_for(cloud, settings))),
                    settings=settings,
                    clock=self.clock,
                    claims=self._claims,
                )
            return self._made[place]

    def close(self) -> None:
        """Drop connections. Sandboxes live on."""
        with self._lock:
            for context in self._made.values():
                context.engine.close()
            self._made.clear()
        if "ledger" in self.__dict__:
            self.ledger.close()
            del self.ledger
        self._claims.close()


def place_of(job: Job) -> _Place:
    """What tells one control plane, as it is asked, from another."""
    return (job.cloud, job.app, job.profile, job.environment)
