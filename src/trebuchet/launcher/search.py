"""Which job or cluster a word means: what the ledger knows, then what the control planes know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trebuchet.errors import AuthenticationError, ClusterNotFoundError, JobNotFoundError, UsageError
from trebuchet.launcher import refresh
from trebuchet.lifecycle import naming
from trebuchet.lifecycle.adopt import adopt

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trebuchet.launcher.launcher import Launcher
    from trebuchet.ledger import Job, Ledger
    from trebuchet.lifecycle.context import Context


def no_cluster(name: str) -> ClusterNotFoundError:
    return ClusterNotFoundError(
        f"No job was ever launched under the name {name!r}.", hint="`trebuchet status` shows those there are."
    )


def find_job(launcher: Launcher, ref: str, *, cached: bool) -> Job:
    """The job that a key, a sandbox id, a cluster's name, a unique prefix or a name means, in this order.

    Of a cluster it is the newest, and so it is of several jobs of a name. A whole name goes before a
    beginning: a key is drawn by chance, and may begin with a cluster's name.

    Raises:
        JobNotFoundError: There is none, or there are several.
    """
    ledger = launcher.contexts.ledger
    if ledger.exactly(ref) is None:
        for job in ledger.jobs(cluster=ref, limit=1):
            return job
    keys = ledger.resolve(ref)
    if len(keys) > 1:
        raise JobNotFoundError(f"{ref!r} may mean several jobs.", hint=f"Say which: {', '.join(keys)}.")
    for key in keys:
        job = ledger.job(key)
        if job is not None:
            return job
    for job in ledger.jobs(name=ref, limit=1):
        return job
    if not cached and (job := _adopt(launcher, ref)) is not None:
        return job
    raise JobNotFoundError(f"There is no job {ref!r}.", hint="`trebuchet status` shows those there are.")


def find_jobs(launcher: Launcher, ref: str) -> list[Job]:
    """All that are meant where a cluster's name means its jobs: the unfinished ones, as last seen.

    Where all of them have ended, and for any other word, the job that `find_job` finds.

    Raises:
        JobNotFoundError: There is none, or there are several.
    """
    ledger = launcher.contexts.ledger
    unfinished = ledger.jobs(cluster=ref, unfinished=True) if ledger.exactly(ref) is None else []
    return unfinished or [find_job(launcher, ref, cached=False)]


def find_to_end(launcher: Launcher, ref: str) -> Job:
    """The one job that is meant to end: of a cluster, or of a name, the only one that has not ended.

    Raises:
        JobNotFoundError: There is none, or there are several.
        UsageError: It is a cluster with several unfinished jobs, or the name of several.
    """
    jobs = _may_end(launcher, ref)
    if len(jobs) > 1:  # As last seen; some may have ended since.
        refresh.refresh(launcher.contexts, jobs)
        jobs = _may_end(launcher, ref)
    if len(jobs) > 1:
        keys = ", ".join(job.key for job in jobs[:5])
        is_cluster = bool(launcher.contexts.ledger.jobs(cluster=ref, limit=1))
        raise UsageError(
            f"{ref} is {'a cluster with' if is_cluster else 'the name of'} {len(jobs)} unfinished jobs.",
            hint=f"all of them: trebuchet stop {ref}; or one: {keys}" if is_cluster else f"say which: {keys}",
        )
    return jobs[0]


def _may_end(launcher: Launcher, ref: str) -> list[Job]:
    """Those that `find_to_end` chooses from."""
    jobs, ledger = find_jobs(launcher, ref), launcher.contexts.ledger
    if ledger.resolve(ref, limit=1) or ledger.jobs(cluster=ref, limit=1):
        return jobs
    return ledger.jobs(name=ref, unfinished=True) or jobs


def _adopt(launcher: Launcher, ref: str) -> Job | None:
    """A job that another ledger launched, if a control plane knows the name."""
    for context in _reachable(launcher, launcher.which_clouds()):
        sandboxes = [ref] if ref.startswith("sb-") else context.engine.find(context.tag("key", ref))
        for sandbox_id in sandboxes:
            try:
                job = adopt(context, sandbox_id)
            except JobNotFoundError:
                continue
            if job is not None:
                return job
    return None


def adopt_cluster(launcher: Launcher, clouds: Sequence[str], cluster: str) -> list[Job]:
    """The running jobs of a cluster that other ledgers launched, written down in this one."""
    jobs = list["Job"]()
    for context in _reachable(launcher, clouds):
        for sandbox_id in context.engine.find(context.tag("cluster", naming.tag_value(cluster))):
            job = adopt(context, sandbox_id)
            if job is not None:
                jobs.append(job)
    return jobs


def _reachable(launcher: Launcher, clouds: Sequence[str]) -> Iterator[Context]:
    """The control planes that this user has a way to. One that does not answer is an error, no absence."""
    for cloud in clouds:
        context = launcher.contexts.of(cloud)
        try:
            context.engine.identity()
        except AuthenticationError:
            if len(clouds) == 1:  # It was asked for.
                raise
            continue
        yield context


def sandbox_of(ledger: Ledger, job: Job, attempt: int | None) -> str | None:
    """The sandbox of an attempt; None for one that has none yet.

    Raises:
        JobNotFoundError: The job has no such attempt.
    """
    if attempt is None:
        return job.sandbox_id
    for one in ledger.attempts(job.key):
        if one.number == attempt:
            return one.sandbox_id
    raise JobNotFoundError(f"{job.name} has no attempt {attempt}.", hint=f"It has {job.current.number}.")
