"""Ending several jobs, and seeing that they have ended."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from trebuchet.errors import AuthenticationError, ControlPlaneError
from trebuchet.lifecycle import naming
from trebuchet.lifecycle.cancel import cancel, want_end
from trebuchet.lifecycle.context import CALLS_AT_ONCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trebuchet.ledger import Job
    from trebuchet.lifecycle.context import Context
    from trebuchet.lifecycle.contexts import Contexts

_PATIENCE_S = 10.0
_PAUSE_S = 0.2


def cancel_all(contexts: Contexts, jobs: Sequence[Job]) -> list[Job]:
    """End jobs, all at once. All wishes are written before the first call.

    Raises:
        ControlPlaneError: Of one; the others were asked for their end all the same.
    """
    for job in jobs:
        with suppress(AuthenticationError):  # It is raised again below, once the others are ending.
            want_end(contexts.of_job(job), job)
    if len(jobs) == 1:
        return [cancel(contexts.of_job(jobs[0]), jobs[0])]
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - heavy, and rarely needed

    with ThreadPoolExecutor(max_workers=CALLS_AT_ONCE, thread_name_prefix="cancel") as pool:
        running = [pool.submit(cancel, contexts.of_job(job), job) for job in jobs]
    return [one.result() for one in running]


def verify_gone(contexts: Contexts, context: Context, cluster: str) -> None:
    """See that nothing of a cluster runs, in the ledger or by its tag.

    Raises:
        ControlPlaneError: Something still does.
    """
    deadline = context.clock.now() + _PATIENCE_S
    while True:
        left = context.engine.find(context.tag("cluster", naming.tag_value(cluster)))
        open_jobs = contexts.ledger.jobs(cloud=context.engine.cloud, cluster=cluster, unfinished=True)
        still = sorted({*left, *(job.sandbox_id or job.key for job in open_jobs)})
        if not still:
            return
        if context.clock.now() >= deadline:
            raise ControlPlaneError(
                f"Of {cluster}, this still runs: {', '.join(still)}.",
                hint="Try again; its end was asked for.",
            )
        for sandbox_id in left:
            context.engine.terminate(sandbox_id)
        context.clock.sleep(_PAUSE_S)
