"""Creating an attempt's sandbox: once, whatever happens to the answer."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import chain, repeat
from typing import TYPE_CHECKING

from trebuchet.errors import (
    AlreadyExistsError,
    ClusterUnreachableError,
    ImageBuildError,
    JobNotFoundError,
    LaunchError,
    NotFoundError,
    RateLimitedError,
    TrebuchetError,
)
from trebuchet.lifecycle.builds import BuildLog
from trebuchet.lifecycle.transfers import transfer_told

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from trebuchet.ledger import Attempt, Job
    from trebuchet.lifecycle.context import Context
    from trebuchet.sandbox import SandboxSpec
    from trebuchet.uploads import Sent

_PAUSES_AFTER_A_LOST_ANSWER_S = (0.2, 1.0, 3.0)
_PAUSES_WHEN_LIMITED_S = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)


@contextmanager
def claimed(context: Context, attempt: Attempt) -> Generator[bool]:
    """Hold the right to create an attempt's sandbox; False where somebody alive has it."""
    token = context.claims.token()
    free = attempt.claim is None or not context.claims.is_alive(attempt.claim)
    if not (free and context.ledger.take_claim(attempt, token)):
        yield False
        return
    with released(context, attempt):
        yield True


@contextmanager
def held(context: Context, attempt: Attempt) -> Generator[bool]:
    """As `claimed`; where this process has the right already, it keeps it."""
    if attempt.claim == context.claims.token():
        yield True
    else:
        with claimed(context, attempt) as mine:
            yield mine


@contextmanager
def released(context: Context, attempt: Attempt) -> Generator[None]:
    """Give this process's claim back at the end."""
    try:
        yield
    finally:
        context.ledger.drop_claim(attempt.key, attempt.number, context.claims.token())


def existing(context: Context, attempt: Attempt) -> str | None:
    """The sandbox that an earlier process made for this attempt; None where there is none.

    Raises:
        ControlPlaneError: It could not be looked up, so nothing is known.
    """
    if attempt.asked_at is None:
        return None
    running = context.engine.find(context.tag("launch", attempt.launch_tag))
    if running:
        return running[0]
    # It may have ended already. With a GPU that cannot be told; see `reconcile` for what follows from that.
    return context.engine.find_ended_by_name(attempt.name)


def create(
    context: Context,
    job: Job,
    spec: SandboxSpec,
    *,
    on_build_output: Callable[[str], None] | None = None,
    on_sent: Callable[[Sent], None] | None = None,
) -> str:
    """Ask for the sandbox of a claimed attempt and write its id down.

    Raises:
        LaunchError: The job was cancelled or forgotten meanwhile, or another job's running sandbox has the
            name.
        ClusterUnreachableError: Neither a sandbox nor its absence could be made out.
        ControlPlaneError: It was refused.
    """
    context.ledger.asked(job.current, at=context.clock.now(), allotted_s=spec.timeout_s)
    job = context.fresh(job)
    if job.cancel_at is not None:
        raise LaunchError(f"{job.name} was cancelled before its sandbox was created.")
    build = BuildLog(context.settings, job.key, also=on_build_output)
    with transfer_told(context.settings, job.key, on_sent) as told:

        def ask() -> str:
            return context.engine.create(spec, on_build_output=build.write, on_sent=told)

        try:
            sandbox_id = _patiently(context, job, lambda: _once(context, job, spec, ask))
        except ImageBuildError as error:
            raise build.failed(error) from error
    build.succeeded()
    _made(context, job, sandbox_id)
    return sandbox_id


def go_on(context: Context, job: Job, spec: SandboxSpec, first: Callable[[], str]) -> str:
    """As `create` for an attempt that was asked for already: what came of that is for `first` to tell.

    Raises:
        TrebuchetError: As `create` does.
    """

    def begun() -> str:
        try:
            return first()
        except NotFoundError:  # something that was remembered is gone; this looks it up anew
            return context.engine.create(spec)

    asks = chain([begun], repeat(lambda: context.engine.create(spec)))
    sandbox_id = _patiently(context, job, lambda: _once(context, job, spec, next(asks)))
    _made(context, job, sandbox_id)
    return sandbox_id


def _made(context: Context, job: Job, sandbox_id: str) -> None:
    context.learn_id(job.current, sandbox_id)
    now = context.ledger.job(job.key)
    end_if_unwanted(context, job.current, sandbox_id, now)
    if now is None:
        raise LaunchError(f"{job.name} was taken out of the ledger while its sandbox was being created.")


def end_if_unwanted(context: Context, attempt: Attempt, sandbox_id: str, now: Job | None) -> None:
    """See that a sandbox does not outlive its job, which may have ended while it was being created.

    Args:
        context: Its control plane.
        attempt: Which it was created for.
        sandbox_id: Its own.
        now: What the ledger has of the job since it was told the id; None for nothing.
    """
    wanted = now is not None and now.end_at is None and now.cancel_at is None
    if not wanted or (now is not None and now.current.number != attempt.number):
        terminate(context, sandbox_id)


def _patiently(context: Context, job: Job, ask: Callable[[], str]) -> str:
    for pause in _PAUSES_WHEN_LIMITED_S:
        try:
            return ask()
        except RateLimitedError:
            context.clock.sleep(pause)
        # The SDK asks several times by itself: the answer before this refusal may have been lost.
        if (found := existing(context, context.fresh(job).current)) is not None:
            return found
    return ask()


def _once(context: Context, job: Job, spec: SandboxSpec, ask: Callable[[], str]) -> str:
    try:
        return ask()
    except AlreadyExistsError:
        return _the_one_of_that_name(context, job)
    except ClusterUnreachableError as error:
        return _after_a_lost_answer(context, job, spec, error)


def _the_one_of_that_name(context: Context, job: Job) -> str:
    sandbox_id = context.engine.find_by_name(job.current.name)
    if sandbox_id is None:  # It ended between the two calls.
        sandbox_id = context.engine.find_ended_by_name(job.current.name)
    if sandbox_id is not None:
        tags = context.engine.tags(sandbox_id)
        if context.tag("launch", job.current.launch_tag).items() <= tags.items():
            return sandbox_id
    raise LaunchError(
        f"A sandbox that belongs to another job has the name {job.current.name}.",
        hint="Launch again under another key.",
    )


def _after_a_lost_answer(
    context: Context, job: Job, spec: SandboxSpec, error: ClusterUnreachableError
) -> str:
    """Find out whether the sandbox was made; make it if it was not."""
    for pause in _PAUSES_AFTER_A_LOST_ANSWER_S:
        context.clock.sleep(pause)
        try:
            found = existing(context, job.current)
        except ClusterUnreachableError:
            continue
        if found is not None:
            return found
        try:
            # The name keeps this from making a second one, should the first still be on its way.
            return context.engine.create(spec)
        except AlreadyExistsError:
            return _the_one_of_that_name(context, job)
        except ClusterUnreachableError:
            continue
    raise error


def end_whatever_exists(context: Context, attempt: Attempt) -> bool:
    """Terminate all that carries an attempt's tag; False where that could not be made sure."""
    try:
        for sandbox_id in context.engine.find(context.tag("launch", attempt.launch_tag)):
            context.found_id(attempt, sandbox_id)
            terminate(context, sandbox_id)
    except TrebuchetError:
        return False
    return True


def terminate(context: Context, sandbox_id: str) -> None:
    """Ask for a sandbox's end; one that is not known has ended."""
    try:
        context.engine.terminate(sandbox_id)
    except JobNotFoundError:
        return
