"""Between rows of SQLite and the values of `records`."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any, Protocol

from trebuchet.ledger.records import Attempt, Job
from trebuchet.status import JobState, Phase, Reason


class Row(Protocol):
    """Columns by name."""

    def __getitem__(self, name: str, /) -> Any: ...


_ATTEMPT = tuple("attempt" if one.name == "number" else one.name for one in fields(Attempt))
_JOB = tuple("attempt" if one.name == "current" else one.name for one in fields(Job))

SELECT_JOBS = (
    f"SELECT {', '.join(f'jobs.{name} AS {name}' for name in _JOB)}, "  # noqa: S608 - column names of our own
    f"{', '.join(f'attempts.{name} AS a_{name}' for name in _ATTEMPT)} FROM jobs "
    "JOIN attempts ON attempts.key = jobs.key AND attempts.attempt = jobs.attempt "
)
"""Every job with its newest attempt; a WHERE may follow."""

INSERT_JOB = f"INSERT INTO jobs ({', '.join(_JOB)}) VALUES ({', '.join('?' * len(_JOB))})"  # noqa: S608 - as above
INSERT_ATTEMPT = f"INSERT INTO attempts ({', '.join(_ATTEMPT)}) VALUES ({', '.join('?' * len(_ATTEMPT))})"  # noqa: S608 - as above


def job_values(job: Job) -> tuple[Any, ...]:
    values = {name: getattr(job, name) for name in _JOB if name != "attempt"}
    values |= {"attempt": job.current.number, "failure": json.dumps(job.failure) if job.failure else None}
    return tuple(_plain(values[name]) for name in _JOB)


def attempt_values(attempt: Attempt) -> tuple[Any, ...]:
    return tuple(_plain(attempt.number if name == "attempt" else getattr(attempt, name)) for name in _ATTEMPT)


def job_of(row: Row) -> Job:
    values = {name: row[name] for name in _JOB if name != "attempt"}
    values |= {
        "current": attempt_of({name: row[f"a_{name}"] for name in _ATTEMPT}),
        "failure": json.loads(row["failure"]) if row["failure"] else None,
        "needs_values": bool(row["needs_values"]),
        "watched": bool(row["watched"]),
        "git_dirty": None if row["git_dirty"] is None else bool(row["git_dirty"]),
    }
    return Job(**_typed(values))


def attempt_of(row: Row) -> Attempt:
    values = {name: row[name] for name in _ATTEMPT if name != "attempt"}
    return Attempt(**_typed({**values, "number": row["attempt"]}))


def _plain(value: Any) -> Any:
    if isinstance(value, JobState):
        return value.value
    return int(value) if isinstance(value, bool) else value


def _typed(values: dict[str, Any]) -> dict[str, Any]:
    for name, kind in (("state", JobState), ("reason", Reason), ("phase", Phase)):
        if values[name] is not None:
            values[name] = kind(values[name])
    return values
