"""What is written about many jobs in one transaction, which costs the disk no more than one job does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trebuchet.ledger.statements import add_events, free_claim, insert_jobs, set_created

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trebuchet.ledger.database import Database
    from trebuchet.ledger.records import Intended, Made


class Batches:
    """The part of the ledger that writes about many jobs at once."""

    _database: Database

    def add_asked(self, intended: Sequence[Intended]) -> None:
        """Write new jobs down, each of which the control plane is about to be asked for."""
        with self._database.writing("add jobs", sync="FULL") as connection:
            insert_jobs(connection, intended)
            attempts = [one.job.current for one in intended]
            asked = [
                (one.key, one.asked_at, "asked", {"attempt": one.number})
                for one in attempts
                if one.asked_at is not None
            ]
            add_events(connection, asked)

    def created_all(self, made: Sequence[Made], *, claim: str, at: float) -> None:
        """As `created` for each, and each one's claim is given back."""
        with self._database.writing("created all") as connection:
            for one in made:
                set_created(
                    connection,
                    one.attempt,
                    one.sandbox_id,
                    at=at,
                    dashboard=one.dashboard,
                    lives_since=at,
                )
                free_claim(connection, one.attempt.key, one.attempt.number, claim)
