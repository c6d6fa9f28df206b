"""One idempotent step that moves what is toward what was wanted.

What counts as evidence: an end that the control plane tells, or its word, twice and apart in time, that it
does not know a sandbox. A call that fails is no answer; a sandbox not in a list is looked up by its id.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from trebuchet.errors import (
    CapacityError,
    ClusterUnreachableError,
    JobNotFoundError,
    LaunchError,
    LedgerError,
    MachineError,
    NotFoundError,
    TrebuchetError,
)
from trebuchet.ledger import Outcome
from trebuchet.lifecycle import again, candidates, create, observe, times, values
from trebuchet.lifecycle.context import CALLS_AT_ONCE, not_seen
from trebuchet.lifecycle.handoff import ensure_keeper, watch
from trebuchet.lifecycle.intent import bound
from trebuchet.status import JobState, Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from trebuchet.ledger import Job
    from trebuchet.lifecycle.context import Context

LOST_AFTER_S = 60.0
"""How far apart the two answers must be that make a job lost."""

GPU_CREATED_AGAIN_WITHIN_S = 600.0
"""A sandbox with a GPU that has ended can be found by its id alone. Where the id was never learnt, nothing
found means "never made" only as long as it can hardly have been scheduled, run and ended."""


def reconcile(
    context: Context, jobs: Sequence[Job], *, tags: Mapping[str, str] | None = None
) -> dict[str, TrebuchetError]:
    """Bring these unfinished jobs up to date: one list, and a look-up for each that has left it.

    Args:
        context: The control plane they were launched on.
        jobs: Unfinished ones, read from the ledger before.
        tags: What all of them carry, to shorten the list.

    Returns:
        By key, why some could not be looked up; their last known state stands.

    Raises:
        ControlPlaneError: Nothing could be looked up.
    """
    ours = [job for job in jobs if context.sees(job)]
    failures: dict[str, TrebuchetError] = {job.key: not_seen(job) for job in jobs if not context.sees(job)}
    if ours:
        watch(context, ours)
        listed = set(context.engine.find(tags or {}))
        still = [job.key for job in ours if job.sandbox_id in listed]
        if still:
            context.ledger.seen(still, at=context.clock.now())
        failures |= _advance_all(context, ours, listed)
    values.let_go_of_ended(context)
    return failures


def bring_up_to_date(context: Context, job: Job) -> None:
    """The same for one unfinished job, without a list where its sandbox's id is known.

    Raises:
        AuthenticationError: It is another account's.
        TrebuchetError: It could not be looked up.
    """
    if job.sandbox_id is not None and job.current.claim is None:
        look_at(context, job)
        return
    tags = context.tag("launch", job.current.launch_tag)
    for failure in reconcile(context, [job], tags=tags).values():
        raise failure


def _advance_all(context: Context, jobs: Sequence[Job], listed: Collection[str]) -> dict[str, TrebuchetError]:
    queued: Mapping[str, str] = {}

    def attempt(job: Job) -> TrebuchetError | None:
        try:
            advance(context, job, listed, queued)
        except LedgerError:
            raise  # It is everybody's.
        except Exception as error:  # noqa: BLE001 - what one job makes go wrong must not stop the others
            return error if isinstance(error, TrebuchetError) else _unforeseen(job, error)
        return None

    idle = [job for job in jobs if not _needs_nothing(job, listed)]
    if idle:
        queued = context.engine.queued()
    if len(idle) <= 1:
        outcomes = [attempt(job) for job in idle]
    else:
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - heavy, and rarely needed

        with ThreadPoolExecutor(max_workers=CALLS_AT_ONCE, thread_name_prefix="reconcile") as pool:
            outcomes = list(pool.map(attempt, idle))
    return {job.key: error for job, error in zip(idle, outcomes, strict=True) if error is not None}


def _unforeseen(job: Job, error: Exception) -> TrebuchetError:
    """What this program did not expect of a job, as its failure."""
    return TrebuchetError(
        f"{job.name} cannot be looked up: {type(error).__name__}: {error}",
        hint="This is a fault of Trebuchet's own: please report it.",
    )


def _needs_nothing(job: Job, listed: Collection[str]) -> bool:
    return job.sandbox_id in listed and job.state is JobState.RUNNING and job.cancel_at is None


def advance(context: Context, job: Job, listed: Collection[str], queued: Mapping[str, str]) -> None:
    """Move one unfinished job by a step.

    Args:
        context: Its control plane.
        job: As the ledger had it before the list was made.
        listed: Ids of unfinished sandboxes.
        queued: What some of them wait for, by id and by name.
    """
    if context.ledger.job(job.key) is None:
        return  # It had ended, and was pruned since.
    if job.sandbox_id is None:
        tell_what_for(context, job, queued)
        finish_launch(context, job)
    elif job.cancel_at is not None and job.sandbox_id in listed:
        create.terminate(context, job.sandbox_id)
    elif tell_what_for(context, job, queued):
        if not _held(context, job) and is_out_of_patience(context, job):
            _next_or_give_up(context, job)
    elif job.cancel_at is None and _held(context, job):
        return  # What becomes of its sandbox is for the one that waits for a GPU with it.
    elif job.sandbox_id in listed and not _may_queue(context, job):
        context.ledger.running(job.current, at=context.clock.now())
    else:
        _look_up(context, job)


def tell_what_for(context: Context, job: Job, queued: Mapping[str, str]) -> bool:
    """Write down what a job's sandbox waits for, if it is known to; its id may not be known yet."""
    reason = queued.get(job.sandbox_id or job.current.name)
    if reason is not None:
        context.ledger.waits(job.key, reason, at=context.clock.now())
    return reason is not None


def _may_queue(context: Context, job: Job) -> bool:
    """Whether its sandbox can be there and wait for a GPU; of another ledger's job that is not known."""
    return job.current.gpu is not None or again.is_foreign(context, job)


def _held(context: Context, job: Job) -> bool:
    return job.current.claim is not None and context.claims.is_alive(job.current.claim)


def look_at(context: Context, job: Job) -> None:
    """Ask the control plane about the sandbox of one job, whose id is known, and write the answer down.

    Raises:
        AuthenticationError: It is another account's: what this one is told would be no evidence.
        ControlPlaneError: There was no answer.
    """
    context.require_sight_of(job)
    _look_up(context, job)


def _look_up(context: Context, job: Job) -> None:
    assert job.sandbox_id is not None  # noqa: S101 - for the type checker; callers have looked
    try:
        seen = context.engine.poll(job.sandbox_id)
    except JobNotFoundError:
        _not_known(context, job)
        return
    now = context.clock.now()
    if seen.state.is_final:
        may_be_cut = job.watched or again.is_foreign(context, job)
        end(context, job, observe.outcome_of(context.engine, job, seen, may_be_cut=may_be_cut))
    elif job.cancel_at is not None:
        create.terminate(context, job.sandbox_id)
    elif seen.state is JobState.RUNNING:
        context.ledger.running(job.current, at=now)
    elif is_out_of_patience(context, job):
        _next_or_give_up(context, job)
    else:
        context.ledger.waits(job.key, seen.waiting_for, at=now)


def end(context: Context, job: Job, outcome: Outcome) -> None:
    """Write the end of a job's newest attempt: of the job too, or else what follows it.

    What was kept for the job is let go of at its own end. Of one that was pruned meanwhile nothing is left.
    """
    if context.ledger.job(job.key) is None:
        return
    attempt, at = job.current, times.when_ended(job, outcome, context.clock.now())
    outcome = replace(outcome, began_at=times.possible_beginning(job, outcome.began_at, ended_at=at))
    if again.begin_another(context, job, outcome, at=at):
        return
    if outcome.cut and context.fresh(job).cancel_at is not None:
        outcome = observe.cancelled(context.fresh(job))
    if context.ledger.ended(attempt, outcome, at=at):
        values.let_go(context, job)


def _not_known(context: Context, job: Job) -> None:
    now = context.clock.now()
    if job.missing_at is None:
        context.ledger.missing(job.key, at=now)
    elif now - job.missing_at >= LOST_AFTER_S:
        lost = Outcome(state=JobState.FAILED, reason=Reason.LOST)
        end(context, job, observe.cancelled(job) if job.cancel_at is not None else lost)


def finish_launch(context: Context, job: Job) -> None:
    """Finish a launch that its process did not: adopt what it made, make what it did not, or say why not.

    Raises:
        AuthenticationError: It is another account's: what is missing here may be there.
        ControlPlaneError: What there is could not be made out.
    """
    context.require_sight_of(job)
    if job.current.number > 1 and again.is_foreign(context, job):
        again.follow(context, job)
        return
    if not again.is_due(job, context.clock.now()) and job.cancel_at is None:
        return
    if _is_for_the_keeper(context, job):
        ensure_keeper(context)
        return
    settle_launch(context, job, create_as_written if job.current.gpu is None else None)
    _go_on(context, context.fresh(job))


def settle_launch(context: Context, job: Job, make: Callable[[Context, Job], object] | None) -> None:
    """Do what is left of a launch, unless somebody alive is at it.

    Args:
        context: Its control plane.
        job: Whose newest attempt has no known sandbox.
        make: Creates what is wanted and was not made; None to leave that to somebody else.

    Raises:
        ControlPlaneError: What there is could not be made out.
    """
    with create.claimed(context, job.current) as mine:
        if not mine:
            return
        job = context.fresh(job)
        if job.end_at is not None or job.sandbox_id is not None:
            return
        sandbox_id = create.existing(context, job.current)
        if sandbox_id is not None:
            context.found_id(job.current, sandbox_id)
        elif job.cancel_at is not None:
            end(context, job, observe.cancelled(job))
        elif (obstacle := _obstacle(context, job)) is not None:
            if not (isinstance(obstacle, CapacityError) and candidates.begin_next(context, job, obstacle)):
                end(context, job, observe.launch_failed(obstacle))
        elif make is not None:
            _make(context, job, make)


def _make(context: Context, job: Job, make: Callable[[Context, Job], object]) -> None:
    try:
        candidates.clear_the_way(context, job)
        make(context, job)
    except TrebuchetError as error:
        if isinstance(error, (ClusterUnreachableError, MachineError)) and job.current.number > 1:
            raise  # A job that ran once is not given up for that; the next reconcile tries again.
        if isinstance(error, NotFoundError) and job.secret is not None:
            error = LaunchError(
                f"Something that {job.name} needs is no longer there: {error}", hint="Launch the job again."
            )
        give_up(context, context.fresh(job), error)


def _go_on(context: Context, job: Job) -> None:
    if job.end_at is not None:
        return
    if job.sandbox_id is not None:
        _look_up(context, job)
    elif job.current.gpu is not None:
        ensure_keeper(context)


def _is_for_the_keeper(context: Context, job: Job) -> bool:
    """Whether nobody has begun to ask for a sandbox whose creation may block for long."""
    attempt = job.current
    untouched = attempt.claim is None and attempt.asked_at is None
    return attempt.gpu is not None and untouched and _wanted(context, job)


def _wanted(context: Context, job: Job) -> bool:
    return job.cancel_at is None and context.clock.now() < job.launch_until


def _obstacle(context: Context, job: Job) -> TrebuchetError | None:
    """Why a sandbox that does not exist cannot, or should not, be created any more."""
    now, asked = context.clock.now(), job.current.asked_at
    again = "Launch the job again."
    if asked is not None and is_out_of_patience(context, job):
        return no_gpu_in_time(job)
    if now >= job.launch_until:
        return LaunchError("The launch was cut off, and found only after its deadline.", hint=again)
    if job.needs_values and job.secret is None:
        return LaunchError(
            "The launch was cut off, and the values of its `envs` and `secrets` are kept nowhere.", hint=again
        )
    if job.current.gpu is not None and asked is not None and now - asked > GPU_CREATED_AGAIN_WITHIN_S:
        return LaunchError(
            "The launch was cut off, and whether its sandbox was made, and has ended, can no longer be told.",
            hint=again,
        )
    return None


def create_as_written(context: Context, job: Job) -> None:
    """Create the sandbox of a claimed attempt from what the ledger has of it.

    Raises:
        TrebuchetError: As `create.create` does.
    """
    recipe = context.ledger.recipe(job.key)
    spec = bound(
        context,
        job,
        recipe.candidates[job.current.candidate],
        user=recipe.config.get("user"),
        keep=recipe.config.get("outputs", False),
        values=None,
    )
    create.create(context, job, spec)


def is_out_of_patience(context: Context, job: Job) -> bool:
    """Whether a job that wants a GPU has asked for one as long as it was to."""
    return job.wait_for_gpu_s is not None and context.clock.now() >= job.launch_until


def no_gpu_in_time(job: Job) -> CapacityError:
    """What becomes of such a job."""
    return CapacityError(
        f"No GPU ({job.current.gpu}) was to be had for {job.name} in the {job.wait_for_gpu_s:.0f} seconds "
        "that it was to ask for one.",
        hint="Ask for longer with --wait-for-gpu, or for another type.",
    )


def _next_or_give_up(context: Context, job: Job) -> None:
    """Let a job that has waited long enough for one GPU wait for the next one that it may have."""
    if candidates.begin_next(context, job, no_gpu_in_time(job)):
        candidates.end_abandoned(context, context.fresh(job))
        if context.settings.keeper:
            ensure_keeper(context)
    else:
        give_up(context, job, no_gpu_in_time(job))


def give_up(context: Context, job: Job, error: BaseException) -> None:
    """A launch has failed: end what it may have left, now or, where that cannot be made sure, later."""
    failure = observe.launch_failed(error).failure
    context.ledger.want_cancel(job.key, by=observe.GAVE_UP, at=context.clock.now(), failure=failure)
    _end_what_is_left(context, job)


def give_up_unmade(context: Context, job: Job, error: BaseException) -> bool:
    """As `give_up` for a launch whose claim others may have; False where one of them has launched it."""
    failure = observe.launch_failed(error).failure
    by, at = observe.GAVE_UP, context.clock.now()
    if not context.ledger.want_cancel_unmade(job.key, by=by, at=at, failure=failure):
        job = context.fresh(job)
        return job.end_at is not None or job.cancel_at is not None
    _end_what_is_left(context, job)
    return True


def _end_what_is_left(context: Context, job: Job) -> None:
    """End a launch's sandbox, if it has one; who is creating it just now looks for the wish afterwards."""
    with create.held(context, context.fresh(job).current) as mine:
        now = context.ledger.job(job.key)
        if now is None or now.end_at is not None or not create.end_whatever_exists(context, now.current):
            return
        now = context.fresh(now)
        if now.sandbox_id is not None:
            _look_up(context, now)
        elif mine:
            end(context, now, observe.cancelled(now))
