"""The ledger: what was wanted, and what was last seen."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from trebuchet.ledger.codec import decode_recipe, encode_candidates
from trebuchet.ledger.database import Database
from trebuchet.ledger.records import Attempt, Event, Job, Outcome, Recipe
from trebuchet.ledger.rows import (
    INSERT_ATTEMPT,
    INSERT_JOB,
    SELECT_JOBS,
    attempt_of,
    attempt_values,
    job_of,
    job_values,
)
from trebuchet.status import JobState

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from trebuchet.sandbox import SandboxSpec


class Ledger:
    """What was wanted, and what was last seen. Safe for many threads and processes at once.

    A job's final state is written once and never changes.

    Args:
        path: The file; made, with its folder, where there is none.
        on_step: Called before and after each write, with its name.

    Raises:
        LedgerError: It cannot be read or written, lies on a network file system, or is of a newer version.
            Every method raises it for its own reasons too.
    """

    def __init__(self, path: Path, *, on_step: Callable[[str], None] = lambda _: None) -> None:
        self._database = Database(path, on_step=on_step)

    @property
    def path(self) -> Path:
        return self._database.path

    @property
    def set_aside(self) -> Path | None:
        """Where the damaged ledger is that this one replaced; None where there was none."""
        return self._database.set_aside

    def close(self) -> None:
        self._database.close()

    # --- intents

    def add(self, job: Job, config: Mapping[str, Any], candidates: tuple[SandboxSpec, ...]) -> bool:
        """Write a job's intent; False where its key is taken, and then nothing is written."""
        with self._database.writing("add job", sync="FULL") as connection:
            if connection.execute("SELECT 1 FROM jobs WHERE key = ?", (job.key,)).fetchone():
                return False
            connection.execute(INSERT_JOB, job_values(job))
            connection.execute(
                "INSERT INTO recipes (key, config, candidates) VALUES (?, ?, ?)",
                (job.key, json.dumps(config), encode_candidates(candidates)),
            )
            connection.execute(INSERT_ATTEMPT, attempt_values(job.current))
            if job.current.sandbox_id:
                _remember_sandbox(connection, job.current.sandbox_id, job.key, job.current.number)
            _event(connection, job.key, job.submit_time, "intended", {"attempt": job.current.number})
            return True

    def recipe(self, key: str) -> Recipe:
        """What is needed to create a job's sandbox again.

        Raises:
            KeyError: There is no job of this key.
        """
        row = self._database.row("SELECT config, candidates FROM recipes WHERE key = ?", (key,))
        if row is None:
            raise KeyError(key)
        return decode_recipe(row["config"], row["candidates"])

    # --- reading

    def job(self, key: str) -> Job | None:
        row = self._database.row(SELECT_JOBS + "WHERE jobs.key = ?", (key,))
        return None if row is None else job_of(row)

    def jobs(
        self,
        *,
        cloud: str | None = None,
        cluster: str | None = None,
        unfinished: bool = False,
        limit: int | None = None,
    ) -> list[Job]:
        """Jobs that pass the filters, newest first. One without a label is of its sandbox id's cluster."""
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
        if unfinished:
            conditions.append("jobs.end_at IS NULL")
        query = f"{SELECT_JOBS} WHERE {' AND '.join(conditions)} ORDER BY jobs.submit_time DESC LIMIT ?"
        return [job_of(row) for row in self._database.rows(query, (*values, -1 if limit is None else limit))]

    def resolve(self, ref: str, *, limit: int = 10) -> list[str]:
        """Keys of the jobs that a text may mean: of just this key or sandbox id, else with such a prefix."""
        exact = self._database.row(
            "SELECT key FROM jobs WHERE key = ? UNION SELECT key FROM sandboxes WHERE sandbox_id = ?",
            (ref, ref),
        )
        if exact is not None:
            return [exact["key"]]
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

    # --- creating

    def take_claim(self, attempt: Attempt, token: str) -> bool:
        """Claim the creation of an attempt, provided its claim is still the one in `attempt`."""
        with self._database.writing("take claim") as connection:
            taken = connection.execute(
                "UPDATE attempts SET claim = ? "
                "WHERE key = ? AND attempt = ? AND claim IS ? AND end_at IS NULL",
                (token, attempt.key, attempt.number, attempt.claim),
            )
            return taken.rowcount == 1

    def drop_claim(self, key: str, number: int, token: str) -> None:
        """Give a claim back; nothing happens where it is somebody else's."""
        with self._database.writing("drop claim") as connection:
            connection.execute(
                "UPDATE attempts SET claim = NULL WHERE key = ? AND attempt = ? AND claim = ?",
                (key, number, token),
            )

    def asked(self, attempt: Attempt, *, at: float) -> None:
        """The control plane is about to be asked to create an attempt's sandbox."""
        with self._database.writing("asked", sync="FULL") as connection:
            connection.execute(
                "UPDATE attempts SET asked_at = ? WHERE key = ? AND attempt = ?",
                (at, attempt.key, attempt.number),
            )
            _event(connection, attempt.key, at, "asked", {"attempt": attempt.number})

    def created(self, attempt: Attempt, sandbox_id: str, *, at: float, dashboard: str | None = None) -> None:
        """An attempt's sandbox exists, and a browser shows it there. Saying so twice does nothing."""
        with self._database.writing("created") as connection:
            changed = connection.execute(
                "UPDATE attempts SET sandbox_id = ?, dashboard = ?, created_at = ? "
                "WHERE key = ? AND attempt = ? AND sandbox_id IS NOT ?",
                (sandbox_id, dashboard, at, attempt.key, attempt.number, sandbox_id),
            )
            if changed.rowcount == 1:
                _remember_sandbox(connection, sandbox_id, attempt.key, attempt.number)
                _event(
                    connection, attempt.key, at, "created", {"attempt": attempt.number, "sandbox": sandbox_id}
                )

    def no_capacity(self, attempt: Attempt, *, candidate: int, gpu: str | None, at: float) -> None:
        """No such GPU was to be had; the same attempt goes on with this candidate and another sandbox."""
        with self._database.writing("no capacity") as connection:
            connection.execute(
                "UPDATE attempts SET sandbox_id = NULL, candidate = ?, gpu = ? WHERE key = ? AND attempt = ?",
                (candidate, gpu, attempt.key, attempt.number),
            )
            detail = {
                "attempt": attempt.number,
                "gpu": attempt.gpu,
                "sandbox": attempt.sandbox_id,
                "next": gpu,
            }
            _event(connection, attempt.key, at, "no_capacity", detail)

    def keep_secret(self, key: str, name: str | None) -> None:
        """A named secret with the job's values is about to be made (or, with None, is gone)."""
        with self._database.writing("keep secret", sync="FULL") as connection:
            connection.execute("UPDATE jobs SET secret = ? WHERE key = ?", (name, key))

    def secrets_of_ended(self) -> list[Job]:
        """Ended jobs whose named secret still has to be deleted."""
        return [
            job_of(row)
            for row in self._database.rows(
                SELECT_JOBS + "WHERE jobs.secret IS NOT NULL AND jobs.end_at IS NOT NULL"
            )
        ]

    # --- what was seen

    def seen(self, keys: Iterable[str], *, at: float) -> None:
        """The control plane said that these jobs are unfinished."""
        with self._database.writing("seen") as connection:
            connection.execute(
                "UPDATE jobs SET seen_at = ?, missing_at = NULL "
                "WHERE key IN (SELECT value FROM json_each(?))",
                (at, json.dumps(list(keys))),
            )

    def waits(self, key: str, waiting_for: str | None, *, at: float) -> None:
        """A pending job waits for something, in words."""
        with self._database.writing("waits") as connection:
            connection.execute(
                "UPDATE jobs SET waiting_for = ?, seen_at = ?, missing_at = NULL "
                "WHERE key = ? AND end_at IS NULL",
                (waiting_for, at, key),
            )

    def running(self, attempt: Attempt, *, at: float) -> None:
        """An attempt runs; the first word of it sets the start."""
        with self._database.writing("running") as connection:
            changed = connection.execute(
                "UPDATE jobs SET state = ?, waiting_for = NULL, start_at = coalesce(start_at, ?), "
                "seen_at = ?, missing_at = NULL "
                "WHERE key = ? AND attempt = ? AND end_at IS NULL AND state <> ?",
                (JobState.RUNNING.value, at, at, attempt.key, attempt.number, JobState.RUNNING.value),
            )
            if changed.rowcount == 1:
                connection.execute(
                    "UPDATE attempts SET state = ?, start_at = ? WHERE key = ? AND attempt = ?",
                    (JobState.RUNNING.value, at, attempt.key, attempt.number),
                )
                _event(connection, attempt.key, at, "running", {"attempt": attempt.number})

    def ended(self, attempt: Attempt, outcome: Outcome, *, at: float) -> bool:
        """An attempt, and with it the job, has ended; False where its end was written before."""
        with self._database.writing("ended", sync="FULL") as connection:
            facts = (
                outcome.state.value,
                outcome.reason,
                outcome.exit_code,
                outcome.phase,
                at,
            )
            changed = connection.execute(
                "UPDATE jobs SET state = ?, reason = ?, exit_code = ?, phase = ?, end_at = ?, seen_at = ?, "
                "failure = ?, waiting_for = NULL, missing_at = NULL, start_at = coalesce(start_at, "
                "(SELECT created_at FROM attempts WHERE key = jobs.key AND attempt = jobs.attempt AND ?)) "
                "WHERE key = ? AND attempt = ? AND end_at IS NULL",
                (
                    *facts,
                    at,
                    json.dumps(outcome.failure) if outcome.failure else None,
                    outcome.exit_code is not None,  # So it ran, if only while nobody looked.
                    attempt.key,
                    attempt.number,
                ),
            )
            if changed.rowcount != 1:
                return False
            connection.execute(
                "UPDATE attempts SET state = ?, reason = ?, exit_code = ?, phase = ?, end_at = ?, "
                "claim = NULL WHERE key = ? AND attempt = ?",
                (*facts, attempt.key, attempt.number),
            )
            detail = {"state": outcome.state.value, "reason": outcome.reason, "exit_code": outcome.exit_code}
            _event(connection, attempt.key, at, "ended", {"attempt": attempt.number, **detail})
            return True

    def missing(self, key: str, *, at: float) -> None:
        """The control plane said that it does not know the job's sandbox; the first time of a row counts."""
        with self._database.writing("missing") as connection:
            changed = connection.execute(
                "UPDATE jobs SET missing_at = ? WHERE key = ? AND missing_at IS NULL AND end_at IS NULL",
                (at, key),
            )
            if changed.rowcount == 1:
                _event(connection, key, at, "missing", {})

    def want_cancel(
        self, key: str, *, by: str, at: float, failure: Mapping[str, str | None] | None = None
    ) -> None:
        """Somebody wants the job's end; the first wish counts, and none after its end.

        Args:
            key: The job's.
            by: Who wants it.
            at: When.
            failure: Why, where a launch failed and may have left something behind.
        """
        with self._database.writing("want cancel", sync="FULL") as connection:
            changed = connection.execute(
                "UPDATE jobs SET cancel_by = ?, cancel_at = ?, failure = ? "
                "WHERE key = ? AND end_at IS NULL AND cancel_at IS NULL",
                (by, at, json.dumps(failure) if failure else None, key),
            )
            if changed.rowcount == 1:
                _event(connection, key, at, "cancel_wanted", {"by": by})

    def note(self, key: str, kind: str, detail: Mapping[str, Any], *, at: float) -> None:
        """Write an event of its own."""
        with self._database.writing("note") as connection:
            _event(connection, key, at, kind, detail)

    def prune(self, *, before: float) -> int:
        """Forget the jobs that ended before a time, and all that was kept of them; how many there were."""
        with self._database.writing("prune") as connection:
            gone = connection.execute("DELETE FROM jobs WHERE end_at < ? AND secret IS NULL", (before,))
            return gone.rowcount

    # --- sandboxes of nobody

    def strangers(self) -> set[str]:
        """Running sandboxes that were asked for their tags and belong to no job of this ledger."""
        return {row["sandbox_id"] for row in self._database.rows("SELECT sandbox_id FROM strangers")}

    def meet_strangers(self, new: Iterable[str], gone: Iterable[str], *, at: float) -> None:
        """Remember some, and forget those that run no more."""
        with self._database.writing("strangers") as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO strangers VALUES (?, ?)", [(one, at) for one in new]
            )
            connection.executemany("DELETE FROM strangers WHERE sandbox_id = ?", [(one,) for one in gone])


def _remember_sandbox(connection: sqlite3.Connection, sandbox_id: str, key: str, number: int) -> None:
    connection.execute("INSERT OR IGNORE INTO sandboxes VALUES (?, ?, ?)", (sandbox_id, key, number))


def _event(connection: sqlite3.Connection, key: str, at: float, kind: str, detail: Mapping[str, Any]) -> None:
    connection.execute(
        "INSERT INTO events (key, at, kind, detail) VALUES (?, ?, ?, ?)", (key, at, kind, json.dumps(detail))
    )
