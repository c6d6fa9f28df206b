"""The intent: what is written down before anything is created."""

from __future__ import annotations

import socket
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from trebuchet.ledger import Attempt, Job, config_as_data
from trebuchet.lifecycle import naming
from trebuchet.lifecycle.budget import budget
from trebuchet.lifecycle.outputs import outputs_mount, outputs_volume
from trebuchet.lifecycle.policy import may_follow, resumes
from trebuchet.lifecycle.values import from_kept, need_keeping

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trebuchet.job import JobConfig
    from trebuchet.ledger import Recipe
    from trebuchet.lifecycle.context import Context
    from trebuchet.plan.model import Plan
    from trebuchet.sandbox import SandboxSpec

    CodeState = tuple[str | None, bool | None]

LAUNCH_WITHIN_S = 900.0
"""How long a launch that was cut off before it was asked for is still finished by whoever comes next. Later
nobody expects it."""

WAIT_FOR_GPU_S = 1_300.0
"""How long a GPU is waited for unless the user says otherwise: once as long as the SDK does by itself."""

WAIT_BESIDE_OTHERS_S = 300.0
"""The same for each of several candidates."""


@dataclass(frozen=True, slots=True)
class Past:
    """What a job is made from, and what was made of it so far."""

    recipe: Recipe
    attempts: Sequence[Attempt]


def make_intent(
    context: Context,
    job: JobConfig,
    plan: Plan,
    *,
    key: str,
    cluster: str | None,
    wait_for_gpu: float | None,
    code: CodeState | None = None,
) -> Job:
    """The row of a job that is about to be launched.

    Args:
        context: Where.
        job: What.
        plan: How.
        key: Its own.
        cluster: Its label.
        wait_for_gpu: Seconds; None for as long as usual.
        code: The state of its work dir, as `git_state` tells it; None to look.
    """
    from trebuchet.lifecycle.provenance import git_state  # noqa: PLC0415 - a status makes no intent

    now = context.clock.now()
    identity = context.engine.identity()
    first = plan.candidates[0]
    name = job.name or "job"
    commit, dirty = code or git_state(job.working_dir)
    watched = may_follow(config_as_data(job), context.settings.longest_s)
    keeps_values = need_keeping(plan.candidates) and (first.gpu is not None or watched)
    usual = WAIT_BESIDE_OTHERS_S if len(plan.candidates) > 1 else WAIT_FOR_GPU_S
    gpu_patience = None if first.gpu is None else (wait_for_gpu or usual)
    return Job(
        key=key,
        name=name,
        cluster=cluster,
        cloud=context.engine.cloud,
        app=context.settings.app_name,
        profile=context.settings.profile,
        environment=context.settings.environment,
        control_plane=identity.control_plane,
        workspace=identity.workspace,
        served_from=identity.environment,
        # Claimed from the first moment, so that nobody else finishes a launch that is just beginning.
        current=make_attempt(key, 1, name=name, candidate=0, gpu=first.gpu, claim=context.claims.token()),
        needs_values=any(spec.env for spec in plan.candidates),
        secret=naming.secret_name(key) if keeps_values else None,
        waiting_for=None if first.gpu is None else f"a GPU ({first.gpu})",
        launch_until=now + max(gpu_patience or 0.0, LAUNCH_WITHIN_S),
        wait_for_gpu_s=gpu_patience,
        submit_time=now,
        git_commit=commit,
        git_dirty=dirty,
        watched=watched,
    )


def make_attempt(
    key: str, number: int, *, name: str, candidate: int, gpu: str | None, claim: str | None
) -> Attempt:
    """An attempt's row, before anything was asked."""
    return Attempt(
        key=key,
        number=number,
        candidate=candidate,
        gpu=gpu,
        launch_tag=naming.launch_tag(key, number),
        name=naming.sandbox_name(name, key, number),
        claim=claim,
    )


def bound(
    context: Context,
    job: Job,
    spec: SandboxSpec,
    *,
    user: str | None,
    keep: Sequence[str] | Literal[False],
    values: Mapping[str, str] | None,
    past: Past | None = None,
) -> SandboxSpec:
    """A candidate with the facts of this attempt: its name, tags, marker and the way to its values.

    Args:
        context: For the tags' prefix, and the ledger.
        job: Whose newest attempt it is.
        spec: The candidate as planned.
        user: The job file's `user`.
        keep: The job file's `outputs`.
        values: The environment's values, sent along; None for those in the job's named secret.
        past: What the ledger has of the job; None to read it there.
    """
    from trebuchet.plan.markers import nonce_for  # noqa: PLC0415 - a status creates nothing
    from trebuchet.plan.script import bind_launch  # noqa: PLC0415 - as above

    attempt = job.current
    if past is None:
        past = Past(context.ledger.recipe(job.key), context.ledger.attempts(job.key))
    attempts = past.attempts
    share = budget(past.recipe, attempt.candidate, attempts, longest_s=context.settings.longest_s).share()
    # The same for all attempts, so that a job started again finds what it wrote under this name.
    variables = {**spec.variables, "SKYPILOT_TASK_ID": f"trebuchet-{job.key}"}
    if resumes(attempts, attempt.number):
        variables["TREBUCHET_RESUME"] = "1"
    tags = naming.tags(
        context.settings.tag_prefix,
        key=job.key,
        name=job.name,
        attempt=attempt.number,
        cluster=job.cluster,
        user=user,
        owner=naming.owner(context.ledger.id, socket.gethostname()),
        until=_expected_until(context, job, share.life_s),
    )
    place = outputs_mount(outputs_volume(context.settings, past.recipe), job.key, spec, keep)
    argv = bind_launch(
        spec.argv,
        nonce=nonce_for(job.key),
        attempt=attempt.number,
        variables=variables,
        limit_s=share.limit_s,
        grace_s=share.grace_s,
        outputs=None if place is None else place.path,
        keep=keep or (),
    )
    if values is None:
        spec = from_kept(job, spec)
    return replace(
        spec,
        argv=argv,
        tags={**spec.tags, **tags},
        name=attempt.name,
        env=values or {},
        volumes=spec.volumes if place is None else (*spec.volumes, place),
        timeout_s=share.life_s,
    )


def _expected_until(context: Context, job: Job, life_s: int) -> float:
    """When the sandbox that is asked for now has ended if all goes well; its life begins after the queue."""
    begins = context.clock.now()
    if job.current.gpu is not None:
        begins = min(job.launch_until, begins + (job.wait_for_gpu_s or 0.0))
    return begins + life_s
