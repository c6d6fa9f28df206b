"""Many launches at once: each the transaction that `launch` is, written down and asked for together.

What one job's launch writes before its sandbox is asked for is written for many in one transaction, and so is
what is learnt afterwards; the sandboxes are asked for without waiting for one another.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from trebuchet.errors import ImageBuildError, TrebuchetError, UsageError
from trebuchet.ledger import Intended, Made, Recipe
from trebuchet.lifecycle import create, naming, observe, reconcile
from trebuchet.lifecycle.builds import BuildLog
from trebuchet.lifecycle.cancel import cancel, want_end
from trebuchet.lifecycle.context import CALLS_AT_ONCE
from trebuchet.lifecycle.handoff import watch
from trebuchet.lifecycle.intent import Past, bound, make_intent
from trebuchet.lifecycle.outputs import config_to_write
from trebuchet.lifecycle.provenance import git_state
from trebuchet.lifecycle.sources import require_sources
from trebuchet.lifecycle.values import require_bucket_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

    from trebuchet.job import JobConfig
    from trebuchet.ledger import Job
    from trebuchet.lifecycle.context import Context
    from trebuchet.plan.model import Plan
    from trebuchet.sandbox import SandboxSpec

_PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """A job to be launched.

    Attributes:
        place: Tells it from the others.
        job: What.
        plan: How.
        prices: US dollars an hour of each candidate, where known.
    """

    place: int
    job: JobConfig
    plan: Plan
    prices: tuple[float, ...] = ()

    @property
    def needs_nobody(self) -> bool:
        """Whether its sandbox is made at once: no GPU is waited for, and no values are kept for later."""
        return all(spec.gpu is None for spec in self.plan.candidates)


@dataclass(frozen=True, slots=True)
class _Flight:
    """A launch under way: its place, the row, the sandbox asked for, and the answer to come."""

    place: int
    row: Job
    spec: SandboxSpec
    answer: Future[str]


class Volley:
    """Launches under way.

    Args:
        context: Where they go.
        cluster: The label of all; None for one each.
        tell: Is told what became of each, by its place: the job, or why it was not launched.
    """

    def __init__(
        self, context: Context, cluster: str | None, tell: Callable[[int, Job | TrebuchetError], None]
    ) -> None:
        self._context = context
        self._cluster = naming.check_cluster(cluster)
        self._tell = tell
        self._code: dict[str | None, tuple[str | None, bool | None]] = {}
        self._written: dict[str, Job] = {}
        """What the ledger has, or is about to have, and nobody was told the end of: by key."""
        self._to_be_asked = set[str]()
        self._flying: dict[str, _Flight] = {}
        self._landed: SimpleQueue[_Flight] = SimpleQueue()
        self._answered = False

    def begin(self, wanted: Sequence[Wanted]) -> list[Wanted]:
        """Write jobs down and ask for their sandboxes; gives those that have to be launched one by one.

        Raises:
            ControlPlaneError: The control plane gives no answer; nothing was created.
            LedgerError: They could not be written; nothing was created.
        """
        if not self._answered:
            self._context.engine.require_answer()
            self._answered = True
        ready, others = list[tuple[Wanted, Intended, "SandboxSpec"]](), list[Wanted]()
        for one in wanted:
            try:
                made = self._made_ready(one)
            except TrebuchetError as error:
                self._tell(one.place, error)
                continue
            if made is None:
                others.append(one)
            else:
                ready.append((one, *made))
        # Known here first: an interruption may come once they are written and before they are asked for.
        self._written |= {intended.job.key: intended.job for _, intended, _ in ready}
        self._to_be_asked = {intended.job.key for _, intended, _ in ready}
        if ready:
            self._context.ledger.add_asked([intended for _, intended, _ in ready])
        for one, intended, spec in ready:
            self._to_be_asked.discard(intended.job.key)
            self._ask(one.place, intended.job, spec)
        watch(self._context, [intended.job for _, intended, _ in ready])
        self.settle(wait=False)
        return others

    def _made_ready(self, wanted: Wanted) -> tuple[Intended, SandboxSpec] | None:
        context, job, plan = self._context, wanted.job, wanted.plan
        require_sources(job, plan)
        require_bucket_keys(context, plan)
        if job.working_dir not in self._code:
            self._code[job.working_dir] = git_state(job.working_dir)
        row = make_intent(
            context, job, plan, key=naming.new_key(), cluster=self._cluster, wait_for_gpu=None,
            code=self._code[job.working_dir],
        )  # fmt: skip
        if row.secret is not None:
            return None
        config = config_to_write(context.settings, job)
        spec = plan.candidates[row.current.candidate]
        past = Past(Recipe(config=config, candidates=plan.candidates, prices=wanted.prices), [row.current])
        ready = bound(context, row, spec, user=job.user, keep=job.outputs, values=spec.env, past=past)
        asked = replace(row.current, asked_at=context.clock.now(), allotted_s=ready.timeout_s)
        row = replace(row, current=asked)
        return Intended(job=row, config=config, candidates=plan.candidates, prices=wanted.prices), ready

    def _ask(self, place: int, row: Job, spec: SandboxSpec) -> None:
        build = BuildLog(self._context.settings, row.key)
        try:
            answer = self._context.engine.begin(spec, on_build_output=build.write)
        except TrebuchetError as error:
            told = build.failed(error) if isinstance(error, ImageBuildError) else error
            with create.released(self._context, row.current):
                self._fail(place, row, told)
            return
        build.succeeded()
        flight = self._flying[row.key] = _Flight(place, row, spec, answer)
        answer.add_done_callback(lambda _: self._landed.put(flight))

    # --- what became of them

    def settle(self, *, wait: bool) -> None:
        """Write down what is known by now; with `wait`, stay until all is."""
        while self._flying:
            landed = self._take_landed(wait=wait)
            if not landed:
                return
            self._write(landed)

    def _take_landed(self, *, wait: bool) -> list[_Flight]:
        landed = list[_Flight]()
        try:
            while True:
                landed.append(self._landed.get(block=wait and not landed))
        except Empty:
            return landed

    def _write(self, landed: Sequence[_Flight]) -> None:
        made = [flight for flight in landed if flight.answer.exception() is None]
        if made:
            self._write_made(made)
        failed = [flight for flight in landed if flight.answer.exception() is not None]
        if failed:
            from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - heavy, and rarely needed

            with ThreadPoolExecutor(max_workers=CALLS_AT_ONCE, thread_name_prefix="again") as pool:
                list(pool.map(self._go_on, failed))

    def _write_made(self, made: Sequence[_Flight]) -> None:
        context = self._context
        ids = {flight.row.key: flight.answer.result() for flight in made}
        context.ledger.created_all(
            [
                Made(
                    attempt=flight.row.current,
                    sandbox_id=ids[flight.row.key],
                    dashboard=context.engine.dashboard_url(ids[flight.row.key]),
                )
                for flight in made
            ],
            claim=context.claims.token(),
            at=context.clock.now(),
        )
        rows = {job.key: job for job in context.ledger.jobs_of(ids)}
        for flight in made:
            now = rows.get(flight.row.key)
            create.end_if_unwanted(context, flight.row.current, ids[flight.row.key], now)
            self._launched(flight.place, now or flight.row)

    def _launched(self, place: int, row: Job) -> None:
        self._settled(row.key)
        self._tell(place, row)

    def _settled(self, key: str) -> None:
        self._flying.pop(key, None)
        self._written.pop(key, None)

    def _go_on(self, flight: _Flight) -> None:
        """The first answer was no sandbox: find out, wait, or ask again, as one launch alone would."""
        context = self._context
        with create.released(context, flight.row.current):
            try:
                create.go_on(context, flight.row, flight.spec, flight.answer.result)
            except TrebuchetError as error:
                self._fail(flight.place, flight.row, error)
                return
        self._launched(flight.place, context.fresh(flight.row))

    def _fail(self, place: int, row: Job, error: TrebuchetError) -> None:
        """Take a launch back, with its claim, which is given back afterwards."""
        context = self._context
        if isinstance(error, UsageError):
            context.ledger.forget(row.key)
        else:
            reconcile.give_up(context, row, error)
        self._settled(row.key)
        self._tell(place, error)

    # --- before their time

    def abandon(self) -> None:
        """See that nothing is left of those whose sandboxes are not known yet."""
        from concurrent.futures import ThreadPoolExecutor, wait  # noqa: PLC0415 - as above

        left = self._context.ledger.jobs_of(self._written)
        for row in left:
            want_end(self._context, row)
        # What the control plane was asked for it makes, whether or not somebody waits for its answer.
        wait([flight.answer for flight in self._flying.values()], timeout=_PATIENCE_S)
        with ThreadPoolExecutor(max_workers=CALLS_AT_ONCE, thread_name_prefix="abandon") as pool:
            list(pool.map(self._end, left))

    def _end(self, row: Job) -> None:
        context, attempt = self._context, row.current
        with suppress(TrebuchetError):  # The wish is written: the next reconcile goes on.
            if row.key in self._to_be_asked:  # So there is nothing to look for.
                reconcile.end(context, context.fresh(row), observe.cancelled(context.fresh(row)))
                return
            if (flight := self._flying.get(row.key)) is not None:
                self._learn_or_give_up(flight)
            context.ledger.drop_claim(attempt.key, attempt.number, context.claims.token())
            cancel(context, context.fresh(row), patience_s=_PATIENCE_S)

    def _learn_or_give_up(self, flight: _Flight) -> None:
        if flight.answer.done() and flight.answer.exception() is None:
            self._context.learn_id(flight.row.current, flight.answer.result())
        else:
            flight.answer.cancel()
