"""Sandboxes of the app that no job of this ledger is waiting for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trebuchet.errors import JobNotFoundError
from trebuchet.lifecycle import create

if TYPE_CHECKING:
    from collections.abc import Collection

    from trebuchet.ledger import Job
    from trebuchet.lifecycle.context import Context


@dataclass(frozen=True, kw_only=True)
class Orphan:
    """A sandbox that runs, and that nobody here knows to be needed.

    Attributes:
        id: The sandbox's.
        cloud: Where it runs.
        key: Of the job that its tags name; None where they name none.
        name: Of that job.
        why: Why it is thought to be one.
    """

    id: str
    cloud: str
    key: str | None
    name: str | None
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
    if job is not None:
        why = _outlived(job, sandbox_id)
        return None if why is None else _of(context, sandbox_id, job.key, job.name, why)
    try:
        tags = context.engine.tags(sandbox_id)
    except JobNotFoundError:
        return None  # It ended just now.
    prefix = context.settings.tag_prefix
    owner = tags.get(f"{prefix}key")
    unfinished = None if owner is None else context.ledger.job(owner)
    if unfinished is not None and unfinished.end_at is None and unfinished.sandbox_id is None:
        return None  # Its launch is under way.
    why = "nothing says whose it is" if owner is None else "no job of this ledger; perhaps another machine's"
    return _of(context, sandbox_id, owner, tags.get(f"{prefix}name"), why)


def _outlived(job: Job, sandbox_id: str) -> str | None:
    if job.end_at is not None:
        return f"its job ended ({job.state.value})"
    if job.sandbox_id not in {sandbox_id, None}:
        return f"its job went on in {job.sandbox_id}"
    return None


def _of(context: Context, sandbox_id: str, key: str | None, name: str | None, why: str) -> Orphan:
    return Orphan(id=sandbox_id, cloud=context.engine.cloud, key=key, name=name, why=why)


def end_orphans(context: Context, found: Collection[Orphan]) -> None:
    """Ask for their end.

    Raises:
        ControlPlaneError: It could not be asked for.
    """
    for orphan in found:
        create.terminate(context, orphan.id)
