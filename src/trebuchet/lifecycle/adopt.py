"""Jobs that another ledger launched, known by the tags of their sandboxes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trebuchet.ledger import Attempt, Job
from trebuchet.lifecycle import naming
from trebuchet.status import JobState

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from trebuchet.lifecycle.context import Context


def adopt(context: Context, sandbox_id: str) -> Job | None:
    """Write a sandbox's job down in this ledger; None where the sandbox is no job's.

    Raises:
        JobNotFoundError: The control plane does not know the sandbox.
    """
    tags = context.engine.tags(sandbox_id)
    facts = {
        name.removeprefix(context.settings.tag_prefix): value
        for name, value in tags.items()
        if name.startswith(context.settings.tag_prefix)
    }
    key = facts.get("key")
    if not key:
        return None
    known = context.ledger.job(key)
    if known is not None:
        return _another_of(context, known, facts, sandbox_id)
    context.ledger.add(_row(context, key, facts, sandbox_id), {}, ())
    return context.ledger.job(key)


def _another_of(context: Context, known: Job, facts: Mapping[str, str], sandbox_id: str) -> Job:
    """A sandbox of a job that this ledger has: the one whose id it never learnt, or one too many."""
    attempt = known.current
    if attempt.sandbox_id is None and facts.get("launch") == attempt.launch_tag:
        context.found_id(attempt, sandbox_id)
    elif (
        attempt.sandbox_id != sandbox_id
        and known.end_at is None
        and facts.get("launch") == attempt.launch_tag
    ):
        context.engine.terminate(sandbox_id)
    return context.fresh(known)


def _row(context: Context, key: str, facts: Mapping[str, str], sandbox_id: str) -> Job:
    now, identity = context.clock.now(), context.engine.identity()
    number = int(facts.get("attempt", "1")) if facts.get("attempt", "1").isdecimal() else 1
    name = facts.get("name", "job")
    return Job(
        key=key,
        name=name,
        cluster=facts.get("cluster"),
        cloud=context.engine.cloud,
        app=context.settings.app_name,
        profile=context.settings.profile,
        environment=context.settings.environment,
        control_plane=identity.control_plane,
        workspace=identity.workspace,
        served_from=identity.environment,
        current=Attempt(
            key=key,
            number=number,
            candidate=0,
            gpu=None,
            launch_tag=naming.launch_tag(key, number),
            name=naming.sandbox_name(name, key, number),
            sandbox_id=sandbox_id,
            dashboard=context.engine.dashboard_url(sandbox_id),
            created_at=now,
            asked_at=now,
        ),
        needs_values=False,
        launch_until=now,
        submit_time=now,
        state=JobState.PENDING,
    )


def adopt_running(context: Context, listed: Collection[str]) -> list[Job]:
    """Adopt every job among running sandboxes that this ledger does not know. Strangers are asked once."""
    known, strangers = context.ledger.known(listed), context.ledger.strangers()
    unknown = [sandbox_id for sandbox_id in listed if sandbox_id not in known and sandbox_id not in strangers]
    adopted = {sandbox_id: adopt(context, sandbox_id) for sandbox_id in unknown}
    new = [sandbox_id for sandbox_id, job in adopted.items() if job is None]
    gone = strangers - set(listed)
    if new or gone:
        context.ledger.meet_strangers(new, gone, at=context.clock.now())
    return [job for job in adopted.values() if job is not None]
