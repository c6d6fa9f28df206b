"""Bringing jobs up to date, each on the control plane where it lives."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING

from trebuchet.errors import JobNotFoundError, TrebuchetError
from trebuchet.lifecycle import naming
from trebuchet.lifecycle.contexts import place_of
from trebuchet.lifecycle.money import learn_cost
from trebuchet.lifecycle.reconcile import reconcile

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trebuchet.ledger import Job
    from trebuchet.lifecycle.contexts import Contexts

_PAUSES_S = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)


def refresh(contexts: Contexts, jobs: Sequence[Job], *, cluster: str | None = None) -> dict[str, str]:
    """Reconcile the unfinished among some jobs. Nothing unfinished: nothing is asked, no SDK is loaded.

    Args:
        contexts: The ledger and its control planes.
        jobs: From the ledger.
        cluster: The label that all of them carry, to shorten the lists.

    Returns:
        By key, why a job could not be looked up, in words.
    """
    groups = defaultdict[object, list["Job"]](list)
    for job in jobs:
        if job.end_at is None or job.secret is not None:
            groups[place_of(job)].append(job)
    if len(groups) <= 1:
        answers = [_refresh_group(contexts, cluster, group) for group in groups.values()]
    else:  # Side by side: one that hangs holds no other up.
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - heavy, and rarely needed

        with ThreadPoolExecutor(max_workers=len(groups), thread_name_prefix="refresh") as pool:
            answers = list(pool.map(partial(_refresh_group, contexts, cluster), groups.values()))
    return {key: why for answer in answers for key, why in answer.items()}


def _refresh_group(contexts: Contexts, cluster: str | None, group: Sequence[Job]) -> dict[str, str]:
    context = contexts.of_job(group[0])
    if cluster is not None and all(job.cluster == cluster for job in group):
        tags = context.tag("cluster", naming.tag_value(cluster))
    elif len(group) == 1:
        tags = context.tag("key", group[0].key)
    else:
        tags = {}
    try:
        failures = reconcile(context, [job for job in group if job.end_at is None], tags=tags)
    except TrebuchetError as error:
        return dict.fromkeys((job.key for job in group), str(error))
    return {key: str(error) for key, error in failures.items()}


def as_now(contexts: Contexts, jobs: Sequence[Job]) -> list[Job]:
    """Rows as the ledger has them by now, read all at once, in the same order."""
    now = {job.key: job for job in contexts.ledger.jobs_of(job.key for job in jobs)} if jobs else {}
    return [now.get(job.key, job) for job in jobs]


def learn_costs(contexts: Contexts, jobs: Sequence[Job]) -> None:
    """Ask what the ended among a few jobs have cost. Where nobody could tell, nothing is asked."""
    for job in contexts.ledger.jobs_of(job.key for job in jobs):
        if job.end_at is not None:
            learn_cost(contexts.of_job(job), job)


def wait(
    contexts: Contexts,
    jobs: Sequence[Job],
    *,
    enough: int,
    timeout: float | None,
    on_change: Callable[[Job], None],
) -> list[Job]:
    """Look jobs up until so many have ended, or time is up.

    Raises:
        JobNotFoundError: One was pruned meanwhile, so it has ended; how is no longer known.
    """
    clock = contexts.clock
    deadline = None if timeout is None else clock.now() + timeout
    current, pruned = {job.key: job for job in jobs}, set[str]()
    for turn in range(1_000_000_000):
        refresh(contexts, [job for job in current.values() if job.key not in pruned])
        for key, before in list(current.items()):
            after = contexts.ledger.job(key)
            if after is None:
                if before.end_at is None:
                    pruned.add(key)
                continue
            if (before.state, before.reason) != (after.state, after.reason):
                on_change(after)
            current[key] = after
        if sum(current[job.key].end_at is not None or job.key in pruned for job in jobs) >= enough:
            break
        pause = _PAUSES_S[min(turn, len(_PAUSES_S) - 1)]
        if deadline is not None:
            if clock.now() >= deadline:
                break
            pause = min(pause, deadline - clock.now())
        clock.sleep(pause)
    if pruned:
        names = ", ".join(current[key].name for key in sorted(pruned))
        raise JobNotFoundError(
            f"{names} was pruned while it was waited for; how it ended is not known any more."
        )
    return [current[job.key] for job in jobs]
