"""What is written in more than one kind of transaction."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from trebuchet.ledger.codec import encode_candidates
from trebuchet.ledger.rows import INSERT_ATTEMPT, INSERT_JOB, attempt_values, job_values

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from trebuchet.ledger.records import Attempt, Intended


def insert_jobs(connection: sqlite3.Connection, intended: Sequence[Intended]) -> None:
    jobs = [one.job for one in intended]
    connection.executemany(INSERT_JOB, [job_values(job) for job in jobs])
    connection.executemany(
        "INSERT INTO recipes (key, config, candidates, prices) VALUES (?, ?, ?, ?)",
        [
            (
                one.job.key,
                json.dumps(one.config),
                encode_candidates(one.candidates),
                json.dumps(list(one.prices)),
            )
            for one in intended
        ],
    )
    connection.executemany(INSERT_ATTEMPT, [attempt_values(job.current) for job in jobs])
    for job in jobs:
        if job.current.sandbox_id:
            _remember_sandbox(connection, job.current.sandbox_id, job.key, job.current.number)
    events = [(job.key, job.submit_time, "intended", {"attempt": job.current.number}) for job in jobs]
    add_events(connection, events)


def set_created(
    connection: sqlite3.Connection,
    attempt: Attempt,
    sandbox_id: str,
    *,
    at: float,
    dashboard: str | None,
    lives_since: float,
) -> None:
    changed = connection.execute(
        "UPDATE attempts SET sandbox_id = ?, dashboard = ?, created_at = ? "
        "WHERE key = ? AND attempt = ? AND sandbox_id IS NOT ?",
        (sandbox_id, dashboard, lives_since, attempt.key, attempt.number, sandbox_id),
    )
    if changed.rowcount == 1:
        _remember_sandbox(connection, sandbox_id, attempt.key, attempt.number)
        connection.execute("INSERT OR IGNORE INTO unarchived VALUES (?, ?)", (attempt.key, attempt.number))
        detail = {"attempt": attempt.number, "sandbox": sandbox_id}
        add_event(connection, attempt.key, at, "created", detail)


def free_claim(connection: sqlite3.Connection, key: str, number: int, token: str) -> None:
    connection.execute(
        "UPDATE attempts SET claim = NULL WHERE key = ? AND attempt = ? AND claim = ?", (key, number, token)
    )


def add_event(
    connection: sqlite3.Connection, key: str, at: float, kind: str, detail: Mapping[str, Any]
) -> None:
    add_events(connection, [(key, at, kind, detail)])


def add_events(
    connection: sqlite3.Connection, events: Sequence[tuple[str, float, str, Mapping[str, Any]]]
) -> None:
    connection.executemany(
        "INSERT INTO events (key, at, kind, detail) VALUES (?, ?, ?, ?)",
        [(key, at, kind, json.dumps(detail)) for key, at, kind, detail in events],
    )


def _remember_sandbox(connection: sqlite3.Connection, sandbox_id: str, key: str, number: int) -> None:
    connection.execute("INSERT OR IGNORE INTO sandboxes VALUES (?, ?, ?)", (sandbox_id, key, number))
