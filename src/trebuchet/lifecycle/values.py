"""What a sandbox needs that is written down nowhere here: its values, and the keys of its buckets.

A job that may be created later, or by another process, has them kept in named secrets on its control plane
until its end. The keys of buckets have secrets of their own: they are for mounting, not for the job's eyes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from trebuchet.errors import LedgerError, TrebuchetError
from trebuchet.lifecycle import naming

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trebuchet.ledger import Job
    from trebuchet.lifecycle.context import Context
    from trebuchet.plan.model import Plan
    from trebuchet.sandbox import BucketMount, SandboxSpec


def need_keeping(specs: Iterable[SandboxSpec]) -> bool:
    """Whether there is anything that another process could not come by."""
    return any(spec.env or _keyless(spec) for spec in specs)


def require_bucket_keys(context: Context, plan: Plan) -> None:
    """See that the caller's environment has the keys of all buckets that name no secret.

    Raises:
        UsageError: It has not.
    """
    for spec in plan.candidates:
        for bucket in _keyless(spec):
            context.engine.bucket_keys(bucket)


def keep(context: Context, job: Job, plan: Plan) -> None:
    """Make the named secrets of a job whose row says that it has some."""
    if job.secret is None:
        return
    env = plan.candidates[job.current.candidate].env
    if env:
        context.engine.put_secret(job.secret, env)
    for bucket in _one_a_store(plan.candidates):
        context.engine.put_secret(
            naming.bucket_secret_name(job.key, bucket.store), context.engine.bucket_keys(bucket)
        )


def from_kept(job: Job, spec: SandboxSpec) -> SandboxSpec:
    """A candidate that gets what the job's named secrets hold."""
    if job.secret is None:
        return spec
    buckets = tuple(
        bucket if bucket.secret else replace(bucket, secret=naming.bucket_secret_name(job.key, bucket.store))
        for bucket in spec.buckets
    )
    secrets = (*spec.secrets, job.secret) if job.needs_values else spec.secrets
    return replace(spec, buckets=buckets, secrets=secrets)


def drop(context: Context, job: Job) -> None:
    """Delete a job's named secrets; nothing happens where there are none."""
    if job.secret is None:
        return
    context.engine.delete_secret(job.secret)
    for bucket in _one_a_store(context.ledger.recipe(job.key).candidates):
        context.engine.delete_secret(naming.bucket_secret_name(job.key, bucket.store))
    context.ledger.keep_secret(job.key, None)


def let_go(context: Context, job: Job) -> None:
    """As `drop` for an ended job; where that fails, it is for the next look. It has ended anyway."""
    try:
        drop(context, job)
    except LedgerError:
        raise
    except TrebuchetError:
        return


def let_go_of_ended(context: Context) -> None:
    """The same for the jobs that ended when it could not be done, or nobody lived to do it."""
    for job in context.ledger.secrets_of_ended():
        if context.sees(job):
            let_go(context, job)


def _keyless(spec: SandboxSpec) -> list[BucketMount]:
    return [bucket for bucket in spec.buckets if not bucket.secret]


def _one_a_store(specs: Iterable[SandboxSpec]) -> list[BucketMount]:
    return list({bucket.store: bucket for spec in specs for bucket in _keyless(spec)}.values())
