"""A launch as a transaction: the intent, then the sandbox, then its id."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from trebuchet import errors
from trebuchet.errors import LaunchError, TrebuchetError
from trebuchet.lifecycle import create, naming, reconcile
from trebuchet.lifecycle.adopt import adopt
from trebuchet.lifecycle.builds import Tail, log_path
from trebuchet.lifecycle.cancel import cancel
from trebuchet.lifecycle.context import whoami
from trebuchet.lifecycle.handoff import ensure_keeper, watch
from trebuchet.lifecycle.intent import bound, make_intent
from trebuchet.lifecycle.outputs import config_to_write
from trebuchet.lifecycle.sources import require_sources
from trebuchet.lifecycle.transfers import last_told, told_elsewhere
from trebuchet.lifecycle.values import keep, require_bucket_keys

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from trebuchet.job import JobConfig
    from trebuchet.ledger import Job
    from trebuchet.lifecycle.context import Context
    from trebuchet.plan.model import Plan
    from trebuchet.uploads import Sent

_POLL_S = 0.02
_LONGEST_POLL_S = 0.2
_REMINDER_S = 1.0
_KEEPERS_TRIED = 5


class Progress(Protocol):
    """Who wants to know how a launch goes on."""

    def build_output(self, text: str) -> None:
        """An image build printed this."""
        ...

    def sending(self, sent: Sent) -> None:
        """Local files are on their way; said now and then, perhaps from another thread."""
        ...

    def waiting(self, job: Job) -> None:
        """No sandbox id is known yet; said about once a second."""
        ...


class Silence:
    def build_output(self, text: str) -> None:
        del text

    def sending(self, sent: Sent) -> None:
        del sent

    def waiting(self, job: Job) -> None:
        del job


def launch(
    context: Context,
    job: JobConfig,
    plan: Plan,
    *,
    cluster: str | None = None,
    key: str | None = None,
    wait_for_gpu: float | None = None,
    progress: Progress | None = None,
    prices: Sequence[float] = (),
) -> Job:
    """Launch a job, or give back the one that this key launched; returns when its sandbox's id is known.

    Raises:
        UsageError: The key or the cluster's name cannot be one.
        PlanError: Local files to be sent are not there, or cannot be sent; with each of them.
        LaunchError: Nothing was created, or what was created has been ended.
        ControlPlaneError: The control plane refused; nothing was created, or what was created has been ended.
        LedgerError: The intent could not be written; nothing was created.
    """
    cluster = naming.check_cluster(cluster)
    if key is not None and (known := _already(context, naming.check_key(key))) is not None:
        return known
    require_sources(job, plan)
    require_bucket_keys(context, plan)
    context.engine.require_answer()
    intent = make_intent(
        context, job, plan, key=key or naming.new_key(), cluster=cluster, wait_for_gpu=wait_for_gpu
    )
    if not context.ledger.add(intent, config_to_write(context.settings, job), plan.candidates, prices):
        return context.fresh(intent)
    try:
        if intent.current.gpu is None:
            _create_here(context, intent, job, plan, progress or Silence())
        else:
            _create_there(context, intent, plan, progress or Silence())
        return context.fresh(intent)
    except TrebuchetError:
        raise  # It was taken back.
    except BaseException:
        # Ctrl-C before the id was known: nothing may be left behind.
        cancel(context, intent, patience_s=5.0, by=whoami())
        raise


def _already(context: Context, key: str) -> Job | None:
    """The job of a key that the user chose: on this ledger for good, elsewhere while it is unfinished."""
    known = context.ledger.job(key)
    if known is not None:
        return known
    if context.ledger.was_forgotten(key):
        raise errors.UsageError(
            f"A job with the key {key} was launched and has ended; what became of it was pruned.",
            hint="A key launches one job for good: take another.",
        )
    running = context.engine.find(context.tag("key", key))
    return adopt(context, running[0]) if running else None


def _create_here(context: Context, intent: Job, job: JobConfig, plan: Plan, progress: Progress) -> None:
    spec = plan.candidates[intent.current.candidate]
    with create.released(context, intent.current), _taken_back_if_it_fails(context, intent):
        keep(context, intent, plan)
        values = spec.env if intent.secret is None else None
        ready = bound(context, intent, spec, user=job.user, keep=job.outputs, values=values)
        create.create(context, intent, ready, on_build_output=progress.build_output, on_sent=progress.sending)
    watch(context, [intent])


@contextmanager
def _taken_back_if_it_fails(context: Context, intent: Job) -> Generator[None]:
    """Leave nothing of a launch that fails.

    Entered with its claim, which is given back afterwards: whoever had it in between would finish the launch.
    """
    try:
        yield
    except errors.UsageError:
        # What is missing here was missed before the control plane was asked for a sandbox.
        context.ledger.forget(intent.key)
        raise
    except TrebuchetError as error:
        reconcile.give_up(context, intent, error)
        raise


def _create_there(context: Context, intent: Job, plan: Plan, progress: Progress) -> None:
    """Let the keeper create it, since that blocks until a GPU is had, and wait for the id alone."""
    with create.released(context, intent.current), _taken_back_if_it_fails(context, intent):
        keep(context, intent, plan)
    try:
        ensure_keeper(context)
        await_id(context, intent, progress=progress)
    except errors.UsageError:
        context.ledger.forget(intent.key)
        raise
    except TrebuchetError as error:
        if reconcile.give_up_unmade(context, intent, error):
            raise


def await_id(context: Context, job: Job, *, progress: Progress) -> Job:
    """Wait until a job that the keeper creates has an id.

    Raises:
        TrebuchetError: What kept the keeper from creating it.
    """
    build = Tail(log_path(context.settings, job.key))
    pause, reminder, started = _POLL_S, context.clock.now() + _REMINDER_S, 0
    while True:
        job = context.fresh(job)
        if job.end_at is not None and job.failure is not None:
            raise failure_of(job)
        if job.sandbox_id is not None or job.end_at is not None:
            if sent := last_told(context.settings, job.key):
                progress.sending(sent)
            return job
        if printed := build.news():
            progress.build_output(printed)
        if sent := told_elsewhere(context.settings, job.key):
            progress.sending(sent)
        context.clock.sleep(pause)
        pause = min(pause * 1.2, _LONGEST_POLL_S)
        if context.clock.now() >= reminder:
            reminder = context.clock.now() + _REMINDER_S
            if job.current.gpu is None:
                reconcile.finish_launch(context, job)
            else:
                started += ensure_keeper(context)  # It may have been killed.
            if started >= _KEEPERS_TRIED:
                raise LaunchError("The keeper, which waits for the GPU, does not stay alive.")
            reconcile.tell_what_for(context, job, context.engine.queued())
            progress.waiting(context.fresh(job))


def failure_of(job: Job) -> TrebuchetError:
    """The error that ended a launch in another process."""
    failure = job.failure or {}
    kind = getattr(errors, failure.get("error") or "", LaunchError)
    if not (isinstance(kind, type) and issubclass(kind, TrebuchetError)):
        kind = LaunchError
    if issubclass(kind, errors.JobFileError | errors.PlanError):  # These hold more than a message.
        kind = LaunchError
    return kind(failure.get("message") or "The launch failed.", hint=failure.get("hint"))
