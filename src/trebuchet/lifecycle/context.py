"""What every part of a job's life needs at hand."""

from __future__ import annotations

import getpass
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trebuchet.errors import AuthenticationError

if TYPE_CHECKING:
    from trebuchet.engines.base import Engine
    from trebuchet.ledger import Attempt, Job, Ledger
    from trebuchet.lifecycle.claims import Claims
    from trebuchet.lifecycle.clock import Clock
    from trebuchet.settings import Settings

CALLS_AT_ONCE = 16
"""How many threads ask a control plane side by side where something is wanted of each of many jobs: enough to
hide the way there and back, and far below what the service allows."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """One control plane, seen with one identity, and the ledger.

    Attributes:
        settings: Those the engine was made with.
    """

    ledger: Ledger
    engine: Engine
    settings: Settings
    clock: Clock
    claims: Claims

    def tag(self, what: str, value: str) -> dict[str, str]:
        """A filter for `Engine.find`."""
        return {f"{self.settings.tag_prefix}{what}": value}

    def learn_id(self, attempt: Attempt, sandbox_id: str) -> None:
        """Write down that an attempt's sandbox exists."""
        dashboard = self.engine.dashboard_url(sandbox_id)
        self.ledger.created(attempt, sandbox_id, dashboard=dashboard, at=self.clock.now())

    def found_id(self, attempt: Attempt, sandbox_id: str) -> None:
        """The same, of one that was looked for: it may have lived since it was asked for."""
        dashboard, now = self.engine.dashboard_url(sandbox_id), self.clock.now()
        lives_since = now if attempt.asked_at is None else min(now, attempt.asked_at)
        self.ledger.created(attempt, sandbox_id, dashboard=dashboard, at=now, lives_since=lives_since)

    def fresh(self, job: Job) -> Job:
        """The job as the ledger has it now."""
        found = self.ledger.job(job.key)
        return job if found is None else found

    def sees(self, job: Job) -> bool:
        """Whether this engine's answers say anything about the job."""
        identity = self.engine.identity()
        return (job.control_plane, job.workspace, job.served_from) == (
            identity.control_plane,
            identity.workspace,
            identity.environment,
        )

    def require_sight_of(self, job: Job) -> None:
        """See that what this engine answers is about the job: what another account cannot see may well run.

        Raises:
            AuthenticationError: It is of another account or environment than this engine's.
        """
        if not self.sees(job):
            raise not_seen(job)


def not_seen(job: Job) -> AuthenticationError:
    """Why nothing can be learnt, or done, about a job of another account."""
    return AuthenticationError(
        f"{job.name}: it belongs to another account or environment than the one in use.",
        hint="Take the token and the environment that it was launched with.",
    )


def whoami() -> str:
    """Who does something, for the history: `user@machine`."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # no entry in the password file, as in many containers
        user = "somebody"
    return f"{user}@{socket.gethostname()}"
