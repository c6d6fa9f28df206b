"""Sandboxes of the app that no job of this ledger is waiting for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trebuchet.errors import JobNotFoundError
from trebuchet.lifecycle import create, naming

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from trebuchet.ledger import Job
    from trebuchet.lifecycle.context import Context

LATE_AFTER_S = 3_600.0
"""How far past the time that its owner expected its end a sandbox is late: more than clocks differ."""


@dataclass(frozen=True, kw_only=True)
class Orphan:
    """A sandbox that runs, and that nobody here knows to be needed.

    Attributes:
        id: The sandbox's.
        cloud: Where it runs.
        key: Of the job that its tags name; None where they name none.
        name: Of that job.
        owner: The machine whose ledger asked for it, as its tags say; None where they do not.
        abandoned: Whether it is known that its owner needs it no more. Of others nothing is known here: they
            may well be another machine's jobs.
        why: Why it is thought to be one, in words.
    """

    id: str
    cloud: str
    key: str | None
    name: str | None
    owner: str | None
    abandoned: bool
    why: str


def orphans(context: Context) -> list[Orphan]:
    """What runs in the app and is no job's of this ledger, or outlived its job.

    Raises:
        ControlPlaneError: It could not be listed.
    """
    listed = context.engine.find({})
    known = context.ledger.known(listed)
    found = [_orphan(context, one, known.get(one)) for one in listed]
    return [one for one in found if one is not None]


def _orphan(context: Context, sandbox_id: str, key: str | None) -> Orphan | None:
    job = None if key is None else context.ledger.job(key)
    if job is not None and job.end_at is None and job.sandbox_id == sandbox_id:
        return None
    try:
        tags = context.engine.tags(sandbox_id)
    except JobNotFoundError:
        return None  # It ended just now.
    prefix = context.settings.tag_prefix
    marks = {what.removeprefix(prefix): value for what, value in tags.items() if what.startswith(prefix)}
    named = context.ledger.job(marks["key"]) if "key" in marks else None
    ours = job is not None or naming.is_owned_by(marks.get("owner"), context.ledger.id)
    if named is None and ours:
        past = _forgotten(context, marks) or _late(context, marks)
    elif named is not None and ours:
        past = _outlived(named, sandbox_id, marks)
    else:
        past = _late(context, marks)
    if past is None and named is not None and named.end_at is None:
        return None  # Its launch is under way, here or where its next attempt was begun.
    return Orphan(
        id=sandbox_id,
        cloud=context.engine.cloud,
        key=marks.get("key"),
        name=marks.get("name"),
        owner=naming.machine_of(marks["owner"]) if "owner" in marks else None,
        abandoned=past is not None,
        why=past or _whose(marks, ours=ours),
    )


def _forgotten(context: Context, marks: Mapping[str, str]) -> str | None:
    """Why a sandbox that this ledger asked for and does not know is needed no more; None where it may be.

    A ledger that was put back from a copy knows nothing of what it launched since.
    """
    forgotten = "key" in marks and context.ledger.was_forgotten(marks["key"])
    return "its job ended, and was pruned" if forgotten else None


def _outlived(job: Job, sandbox_id: str, marks: Mapping[str, str]) -> str | None:
    """Why a sandbox that this ledger asked for, or has known, is needed no more; None where it may be."""
    if job.end_at is not None:
        return f"its job ended ({job.state.value})"
    number = int(marks["attempt"]) if marks.get("attempt", "").isdecimal() else 0
    if number < job.current.number:
        return f"its job went on in attempt {job.current.number}"
    if number == job.current.number and job.sandbox_id not in {sandbox_id, None}:
        return f"its job runs in {job.sandbox_id}"
    return None


def _late(context: Context, marks: Mapping[str, str]) -> str | None:
    """Why the owner of another ledger's sandbox needs it no more; None where it may.

    A job of the same key that ended here is no reason: its key may have been launched anew elsewhere.
    """
    until = marks.get("until", "")
    if until.isdecimal() and context.clock.now() > int(until) + LATE_AFTER_S:
        return "its owner expected its end more than an hour ago"
    return None


def _whose(marks: Mapping[str, str], *, ours: bool) -> str:
    if "key" not in marks:
        return "nothing says whose it is"
    if ours:
        return "launched from here, and not known here any more: `trebuchet status --all` takes it up"
    return "no job of this ledger; perhaps its owner still needs it"


def end_orphans(context: Context, found: Collection[Orphan]) -> None:
    """Ask for their end.

    Raises:
        ControlPlaneError: It could not be asked for.
    """
    for orphan in found:
        create.terminate(context, orphan.id)
