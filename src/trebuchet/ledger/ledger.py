"""The ledger: what was wanted, and what was last seen."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from trebuchet.ledger.batches import Batches
from trebuchet.ledger.database import Database
from trebuchet.ledger.reading import Reading
from trebuchet.ledger.records import Intended
from trebuchet.ledger.rows import INSERT_ATTEMPT, attempt_values
from trebuchet.ledger.statements import add_event, free_claim, insert_jobs, set_created
from trebuchet.status import JobState

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from trebuchet.ledger.rebuilding import RebuildMarker
    from trebuchet.ledger.records import Attempt, Job, Outcome
    from trebuchet.sandbox import SandboxSpec


class Ledger(Reading, Batches):
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

    @property
    def rebuild_marker(self) -> RebuildMarker:
        """There while a damaged ledger was set aside, and what runs is not yet written into this one."""
        return self._database.rebuild_marker

    def close(self) -> None:
        self._database.close()

    # --- intents

    def add(
        self,
        job: Job,
        config: Mapping[str, Any],
        candidates: tuple[SandboxSpec, ...],
        prices: Sequence[float] = (),
    ) -> bool:
        """Write a job's intent; False where its key is taken, and then nothing is written.

        Args:
            job: Its row.
            config: The job file's content with the values left out.
            candidates: What may be created for it.
            prices: US dollars an hour of each of them, where known.
        """
        with self._database.writing("add job", sync="FULL") as connection:
            if connection.execute("SELECT 1 FROM jobs WHERE key = ?", (job.key,)).fetchone():
                return False
            intended = Intended(job=job, config=config, candidates=candidates, prices=tuple(prices))
            insert_jobs(connection, [intended])
            return True

    def forget(self, key: str) -> None:
        """Take an intent back that came to nothing, without a trace; not where it has a sandbox."""
        with self._database.writing("forget") as connection:
            connection.execute(
                "DELETE FROM jobs WHERE key = ? AND secret IS NULL "
                "AND NOT EXISTS (SELECT 1 FROM sandboxes WHERE sandboxes.key = jobs.key)",
                (key,),
            )

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
            free_claim(connection, key, number, token)

    def asked(self, attempt: Attempt, *, at: float, allotted_s: int) -> None:
        """The control plane is about to be asked to create an attempt's sandbox, with so long a life.

        From the first asking on the attempt waits for its GPU, if it wants one.
        """
        with self._database.writing("asked", sync="FULL") as connection:
            connection.execute(
                "UPDATE attempts SET asked_at = ?, allotted_s = ? WHERE key = ? AND attempt = ?",
                (at, allotted_s, attempt.key, attempt.number),
            )
            connection.execute(
                "UPDATE jobs SET launch_until = min(launch_until, ? + wait_for_gpu_s) "
                "WHERE key = ? AND attempt = ? AND wait_for_gpu_s IS NOT NULL",
                (at, attempt.key, attempt.number),
            )
            add_event(connection, attempt.key, at, "asked", {"attempt": attempt.number})

    def created(
        self,
        attempt: Attempt,
        sandbox_id: str,
        *,
        at: float,
        dashboard: str | None = None,
        lives_since: float | None = None,
    ) -> None:
        """An attempt's sandbox exists. Saying so twice does nothing.

        Args:
            attempt: Whose.
            sandbox_id: Its id.
            at: When that was learnt.
            dashboard: Where a browser shows it.
            lives_since: Since when it may have lived; None for only then.
        """
        with self._database.writing("created") as connection:
            set_created(
                connection, attempt, sandbox_id, at=at, dashboard=dashboard, lives_since=lives_since or at
            )

    def no_capacity(self, attempt: Attempt, *, candidate: int, gpu: str | None, at: float) -> None:
        """No such GPU was to be had; the same attempt goes on with this candidate and another sandbox."""
        with self._database.writing("no capacity") as connection:
            connection.execute(
                "UPDATE attempts SET sandbox_id = NULL, asked_at = NULL, candidate = ?, gpu = ? "
                "WHERE key = ? AND attempt = ?",
                (candidate, gpu, attempt.key, attempt.number),
            )
            detail = {
                "attempt": attempt.number,
                "gpu": attempt.gpu,
                "sandbox": attempt.sandbox_id,
                "next": gpu,
            }
            add_event(connection, attempt.key, at, "no_capacity", detail)

    def keep_secret(self, key: str, name: str | None) -> None:
        """A named secret with the job's values is about to be made (or, with None, is gone)."""
        with self._database.writing("keep secret", sync="FULL") as connection:
            connection.execute("UPDATE jobs SET secret = ? WHERE key = ?", (name, key))

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
                add_event(connection, attempt.key, at, "running", {"attempt": attempt.number})

    def ended(self, attempt: Attempt, outcome: Outcome, *, at: float) -> bool:
        """An attempt, and with it the job, has ended; False where its end was written before."""
        with self._database.writing("ended", sync="FULL") as connection:
            changed = connection.execute(
                "UPDATE jobs SET state = ?, reason = ?, exit_code = ?, phase = ?, end_at = ?, seen_at = ?, "
                "failure = ?, waiting_for = NULL, missing_at = NULL, "
                "start_at = coalesce(min(coalesce(start_at, ?), ?), start_at, "
                "(SELECT created_at FROM attempts WHERE key = jobs.key AND attempt = jobs.attempt AND ?)) "
                "WHERE key = ? AND attempt = ? AND end_at IS NULL",
                (
                    *_facts(outcome, at),
                    at,
                    json.dumps(outcome.failure) if outcome.failure else None,
                    outcome.began_at,
                    outcome.began_at,
                    outcome.exit_code is not None,  # So it ran, if only while nobody looked.
                    attempt.key,
                    attempt.number,
                ),
            )
            if changed.rowcount != 1:
                return False
            _end_attempt(connection, attempt, outcome, at)
            return True

    def again(self, attempt: Attempt, outcome: Outcome, successor: Job, *, why: str, at: float) -> bool:
        """An attempt has ended and another one follows it; False where that is no longer so.

        Args:
            attempt: Which has ended.
            outcome: How.
            successor: The job with its next attempt.
            why: What the attempt ended of, in words.
            at: When it ended.
        """
        with self._database.writing("again", sync="FULL") as connection:
            changed = connection.execute(
                "UPDATE jobs SET attempt = ?, state = ?, waiting_for = ?, launch_until = ?, again_at = ?, "
                "restarts = ?, seen_at = ?, missing_at = NULL "
                "WHERE key = ? AND attempt = ? AND end_at IS NULL AND cancel_at IS NULL",
                (
                    successor.current.number, successor.state.value, successor.waiting_for,
                    successor.launch_until, successor.again_at, successor.restarts, at,
                    attempt.key, attempt.number,
                ),
            )  # fmt: skip
            if changed.rowcount != 1:
                return False
            _end_attempt(connection, attempt, outcome, at)
            connection.execute(INSERT_ATTEMPT, attempt_values(successor.current))
            detail = {"attempt": successor.current.number, "after": why, "not_before": successor.again_at}
            add_event(connection, attempt.key, at, "again", detail)
            return True

    def missing(self, key: str, *, at: float) -> None:
        """The control plane said that it does not know the job's sandbox; the first time of a row counts."""
        with self._database.writing("missing") as connection:
            changed = connection.execute(
                "UPDATE jobs SET missing_at = ? WHERE key = ? AND missing_at IS NULL AND end_at IS NULL",
                (at, key),
            )
            if changed.rowcount == 1:
                add_event(connection, key, at, "missing", {})

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
                add_event(connection, key, at, "cancel_wanted", {"by": by})

    def want_cancel_unmade(
        self, key: str, *, by: str, at: float, failure: Mapping[str, str | None] | None
    ) -> bool:
        """As `want_cancel`, provided no sandbox is known of the newest attempt; whether it was written."""
        with self._database.writing("want cancel", sync="FULL") as connection:
            changed = connection.execute(
                "UPDATE jobs SET cancel_by = ?, cancel_at = ?, failure = ? "
                "WHERE key = ? AND end_at IS NULL AND cancel_at IS NULL "
                "AND NOT EXISTS (SELECT 1 FROM attempts WHERE attempts.key = jobs.key "
                "AND attempts.attempt = jobs.attempt AND attempts.sandbox_id IS NOT NULL)",
                (by, at, json.dumps(failure) if failure else None, key),
            )
            if changed.rowcount == 1:
                add_event(connection, key, at, "cancel_wanted", {"by": by})
            return changed.rowcount == 1

    def cost(self, key: str, dollars: float, *, at: float) -> None:
        """The control plane said what an ended job has cost so far."""
        with self._database.writing("cost") as connection:
            connection.execute("UPDATE jobs SET cost = ?, cost_at = ? WHERE key = ?", (dollars, at, key))

    def note(self, key: str, kind: str, detail: Mapping[str, Any], *, at: float) -> None:
        """Write an event of its own."""
        with self._database.writing("note") as connection:
            add_event(connection, key, at, kind, detail)

    def archived(self, key: str, number: int) -> None:
        """All that is to be had of an attempt's log is in the archive."""
        with self._database.writing("archived") as connection:
            connection.execute("DELETE FROM unarchived WHERE key = ? AND attempt = ?", (key, number))

    def prune(self, keys: Sequence[str]) -> list[str]:
        """Forget those that have ended, and all that was kept of them but their keys; gives the keys."""
        with self._database.writing("prune") as connection:
            gone = [
                key
                for key in keys
                if connection.execute(
                    "DELETE FROM jobs WHERE key = ? AND end_at IS NOT NULL AND secret IS NULL", (key,)
                ).rowcount
            ]
            connection.executemany("INSERT OR IGNORE INTO forgotten VALUES (?)", [(key,) for key in gone])
            return gone

    # --- sandboxes of nobody

    def meet_strangers(self, new: Iterable[str], gone: Iterable[str], *, at: float) -> None:
        """Remember some, and forget those that run no more."""
        with self._database.writing("strangers") as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO strangers VALUES (?, ?)", [(one, at) for one in new]
            )
            connection.executemany("DELETE FROM strangers WHERE sandbox_id = ?", [(one,) for one in gone])


def _facts(outcome: Outcome, at: float) -> tuple[Any, ...]:
    return (outcome.state.value, outcome.reason, outcome.exit_code, outcome.phase, at)


def _end_attempt(connection: sqlite3.Connection, attempt: Attempt, outcome: Outcome, at: float) -> None:
    connection.execute(
        "UPDATE attempts SET state = ?, reason = ?, exit_code = ?, phase = ?, end_at = ?, "
        "claim = NULL WHERE key = ? AND attempt = ?",
        (*_facts(outcome, at), attempt.key, attempt.number),
    )
    detail = {"state": outcome.state.value, "reason": outcome.reason, "exit_code": outcome.exit_code}
    add_event(connection, attempt.key, at, "ended", {"attempt": attempt.number, **detail})
