"""What can be read from the ledger."""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING, Any

from trebuchet.errors import JobNotFoundError
from trebuchet.ledger.codec import decode_recipe
from trebuchet.ledger.records import Attempt, Event, Job, Recipe, Unarchived
from trebuchet.ledger.rows import SELECT_JOBS, attempt_of, job_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trebuchet.ledger.database import Database


_END_OF_TIME = 1e300


class Reading:
    """The part of the ledger that changes nothing."""

    _database: Database

    @cached_property
    def id(self) -> str:
        """What tells this ledger from all others, wherever they are."""
        row = self._database.row("SELECT value FROM about WHERE name = 'id'")
        assert row is not None  # noqa: S101 - written by the migration that made the table
        return row["value"]

    def recipe(self, key: str) -> Recipe:
        """What is needed to create a job's sandbox again.

        Raises:
            JobNotFoundError: There is no job of this key; it may have been pruned just now.
        """
        row = self._database.row("SELECT config, candidates, prices FROM recipes WHERE key = ?", (key,))
        if row is None:
            raise JobNotFoundError(f"The job {key} is not in the ledger any more.")
        return decode_recipe(row["config"], row["candidates"], row["prices"])

    def job(self, key: str) -> Job | None:
        row = self._database.row(SELECT_JOBS + "WHERE jobs.key = ?", (key,))
        return None if row is None else job_of(row)

    def jobs_of(self, keys: Iterable[str]) -> list[Job]:
        """The jobs of these keys, in no order; what is not there is left out."""
        wanted = json.dumps(list(keys))
        query = "WHERE jobs.key IN (SELECT value FROM json_each(?))"
        return [job_of(row) for row in self._database.rows(SELECT_JOBS + query, (wanted,))]

    def jobs(
        self,
        *,
        cloud: str | None = None,
        cluster: str | None = None,
        name: str | None = None,
        unfinished: bool = False,
        watched: bool = False,
        ended_since: float | None = None,
        limit: int | None = None,
    ) -> list[Job]:
        """Jobs that pass the filters, newest first. One without a label is of its sandbox id's cluster.

        Args:
            cloud: Only there.
            cluster: Only of this one.
            name: Only those of this name.
            unfinished: Only those.
            watched: Only unfinished ones that may have another attempt.
            ended_since: Only unfinished ones, those that ended from then on, in seconds since the epoch, and
                those whose values are still to be deleted.
            limit: At most so many.
        """
        conditions, values = ["1"], list[Any]()
        if cloud is not None:
            conditions.append("jobs.cloud = ?")
            values.append(cloud)
        if cluster is not None:
            conditions.append(
                "(jobs.cluster = ? OR (jobs.cluster IS NULL AND jobs.key IN "
                "(SELECT key FROM sandboxes WHERE sandbox_id = ? UNION SELECT ?)))"
            )
            values += [cluster] * 3
        if name is not None:
            conditions.append("jobs.name = ?")
            values.append(name)
        if unfinished:
            conditions.append("jobs.end_at IS NULL")
        if watched:
            conditions.append("jobs.watched AND jobs.end_at IS NULL")
        if ended_since is not None:  # Searches by indices: what ended before is not even read.
            conditions.append(
                "jobs.key IN (SELECT key FROM jobs WHERE end_at IS NULL "
                "UNION ALL SELECT key FROM jobs WHERE end_at >= ? "
                "UNION ALL SELECT key FROM jobs WHERE secret IS NOT NULL)"
            )
            values.append(min(ended_since, _END_OF_TIME))
        query = f"{SELECT_JOBS} WHERE {' AND '.join(conditions)} ORDER BY jobs.submit_time DESC LIMIT ?"
        return [job_of(row) for row in self._database.rows(query, (*values, -1 if limit is None else limit))]

    def exactly(self, ref: str) -> str | None:
        """The key of the job of just this key or sandbox id."""
        found = self._database.row(
            "SELECT key FROM jobs WHERE key = ? UNION SELECT key FROM sandboxes WHERE sandbox_id = ?",
            (ref, ref),
        )
        return None if found is None else found["key"]

    def resolve(self, ref: str, *, limit: int = 10) -> list[str]:
        """Keys of the jobs that a text may mean: of just this key or sandbox id, else with such a prefix."""
        if (exact := self.exactly(ref)) is not None:
            return [exact]
        if not ref:
            return []
        # A range instead of LIKE: it uses the index, and knows no wild cards.
        span = (ref, ref + "\U0010ffff")
        rows = self._database.rows(
            "SELECT key FROM jobs WHERE key >= ? AND key < ? "
            "UNION SELECT key FROM sandboxes WHERE sandbox_id >= ? AND sandbox_id < ? LIMIT ?",
            (*span, *span, limit),
        )
        return [row["key"] for row in rows]

    def attempts(self, key: str) -> list[Attempt]:
        """All of a job, oldest first."""
        rows = self._database.rows("SELECT * FROM attempts WHERE key = ? ORDER BY attempt", (key,))
        return [attempt_of(row) for row in rows]

    def events(self, key: str) -> list[Event]:
        """What happened to a job, oldest first."""
        rows = self._database.rows("SELECT at, kind, detail FROM events WHERE key = ? ORDER BY seq", (key,))
        return [Event(at=row["at"], kind=row["kind"], detail=json.loads(row["detail"])) for row in rows]

    def ended_before(self, at: float) -> list[Job]:
        """The jobs that ended before a time and whose values are kept nowhere any more, oldest first."""
        query = "WHERE jobs.end_at < ? AND jobs.secret IS NULL ORDER BY jobs.end_at"
        return [job_of(row) for row in self._database.rows(SELECT_JOBS + query, (at,))]

    def was_forgotten(self, key: str) -> bool:
        """Whether a job of this key was pruned."""
        return self._database.row("SELECT 1 FROM forgotten WHERE key = ?", (key,)) is not None

    def unarchived(self, cloud: str) -> list[Unarchived]:
        """Attempts on a cloud whose logs are not yet archived, oldest job first."""
        rows = self._database.rows(
            "SELECT one.key, one.attempt, attempts.end_at FROM unarchived AS one "
            "JOIN jobs ON jobs.key = one.key "
            "JOIN attempts ON attempts.key = one.key AND attempts.attempt = one.attempt "
            "WHERE jobs.cloud = ? ORDER BY jobs.submit_time, one.attempt",
            (cloud,),
        )
        return [
            Unarchived(key=row["key"], number=row["attempt"], ended=row["end_at"] is not None) for row in rows
        ]

    def clusters(self, cloud: str) -> list[str]:
        """Names of clusters, the one used last first; a job without a label is one of its id's name."""
        rows = self._database.rows(
            "SELECT coalesce(jobs.cluster, attempts.sandbox_id, jobs.key) AS label FROM jobs JOIN attempts "
            "ON attempts.key = jobs.key AND attempts.attempt = jobs.attempt WHERE jobs.cloud = ? "
            "GROUP BY label ORDER BY max(jobs.submit_time) DESC",
            (cloud,),
        )
        return [row["label"] for row in rows]

    def known(self, sandbox_ids: Iterable[str]) -> dict[str, str]:
        """Which of these sandboxes belong to jobs of this ledger: id to key."""
        wanted = json.dumps(list(sandbox_ids))
        rows = self._database.rows(
            "SELECT sandbox_id, key FROM sandboxes WHERE sandbox_id IN (SELECT value FROM json_each(?))",
            (wanted,),
        )
        return {row["sandbox_id"]: row["key"] for row in rows}

    def secrets_of_ended(self) -> list[Job]:
        """Ended jobs whose named secret still has to be deleted."""
        return [
            job_of(row)
            for row in self._database.rows(
                SELECT_JOBS + "WHERE jobs.secret IS NOT NULL AND jobs.end_at IS NOT NULL"
            )
        ]

    def strangers(self) -> set[str]:
        """Running sandboxes that were asked for their tags and belong to no job of this ledger."""
        return {row["sandbox_id"] for row in self._database.rows("SELECT sandbox_id FROM strangers")}
