"""A job with another attempt: started again after a failure, or continued past a sandbox's longest life."""

from __future__ import annotations

import io
import json
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from support.clocks import AheadClock
from support.engine import wait_until
from trebuchet.launcher import Launcher
from trebuchet.lifecycle.again import pause_before
from trebuchet.lifecycle.log_chain import LogChain
from trebuchet.status import JobState, Reason

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

    from support.bench import Bench
    from trebuchet.status import JobStatus


SIGNAL_THE_WRAPPER = """
until [ -e /tmp/ready ]; do sleep 0.02; done
for process in /proc/[0-9]*; do
  if tr '\\0' '\\n' <$process/cmdline | grep -q '^limit='; then
    echo sent
    kill -s "$1" "${process#/proc/}"
  fi
done 2>/dev/null
"""


@dataclass
class Alone:
    """A launcher of a home where no keeper runs, with a clock that can be set ahead."""

    bench: Bench
    launcher: Launcher
    clock: AheadClock

    def up(self, run: str, **fields: Any) -> JobStatus:
        return self.launcher.up(self.bench.job(run, **fields), self.bench.cluster)[1]

    def until(self, key: str, state: JobState, attempt: int) -> JobStatus:
        """Look the job up until it is there."""
        seen: list[JobStatus] = []

        def arrived() -> bool:
            seen[:] = [self.launcher.find(key)]
            return (seen[0].state, seen[0].attempt) == (state, attempt)

        wait_until(arrived)
        return seen[0]

    def time_passes(self, key: str, signal: str) -> None:
        """Let the wrapper's timer be over now, as its signal says: USR1 for the limit, USR2 for the grace."""
        job = self.launcher.job(key)
        assert job.sandbox_id is not None
        engine = self.launcher.contexts.of_job(job).engine
        said = io.BytesIO()
        # Its exit code tells nothing: it may fall with the sandbox that it brings to its end.
        engine.exec(job.sandbox_id, ("bash", "-c", SIGNAL_THE_WRAPPER, "-", signal), stdout=said)
        assert said.getvalue().startswith(b"sent\n")
        self.clock.ahead += 300

    def output(self, key: str) -> str:
        return "".join(
            entry.message for entry in self.launcher.logs(key, follow=True) if entry.source == "stdout"
        )


@pytest.fixture
def alone(bench: Bench) -> Iterator[Alone]:
    with alone_at(bench, longest_s=86_400) as alone:
        yield alone


@pytest.fixture
def short_lived(bench: Bench) -> Iterator[Alone]:
    """The same where a sandbox's scripts are asked after a few minutes to make room for the next."""
    with alone_at(bench, longest_s=600) as alone:
        yield alone


@contextmanager
def alone_at(bench: Bench, *, longest_s: int) -> Iterator[Alone]:
    bench.kill_keepers()  # One that another test left has pauses of its own.
    # Logs tell ends by the system's clock: what is to have taken time began earlier by the launcher's.
    clock = AheadClock(ahead=-600.0)
    settings = replace(bench.launcher.settings, keeper=False, longest_s=longest_s, restart_pause_s=10.0)
    launcher = Launcher(settings, clock=clock)
    yield Alone(bench, launcher, clock)
    launcher.close()


def test_a_job_that_fails_is_started_again_after_a_pause(alone: Alone) -> None:
    status = alone.up("echo attempt $TREBUCHET_ATTEMPT; [ $TREBUCHET_ATTEMPT = 3 ]", max_restarts=2)
    for attempt, pause in ((1, 10), (2, 20)):
        between = alone.until(status.key, JobState.PENDING, attempt)
        assert not between.done
        waits_for = json.loads(between.metadata)["waiting_for"]
        assert f"attempt {attempt + 1}, not before" in waits_for
        assert "exit code 1" in waits_for
        assert alone.bench.running() == []
        job = alone.launcher.job(status.key)
        assert job.again_at is not None
        ended = alone.launcher.contexts.ledger.attempts(status.key)[attempt - 1].end_at
        assert ended is not None
        assert job.again_at - ended == pytest.approx(pause)
        alone.clock.ahead += pause + 1
    done = alone.until(status.key, JobState.SUCCEEDED, 3)
    assert (done.key, done.exit_code) == (status.key, 0)
    assert alone.output(status.key) == "attempt 1\nattempt 2\nattempt 3\n"
    attempts = alone.launcher.contexts.ledger.attempts(status.key)
    assert [(one.number, one.exit_code) for one in attempts] == [(1, 1), (2, 1), (3, 0)]
    assert [event.kind for event in alone.launcher.events(status.key)].count("again") == 2


def test_the_last_failure_is_the_jobs_own(alone: Alone) -> None:
    status = alone.up("exit 7", max_restarts=1)
    alone.until(status.key, JobState.PENDING, 1)
    alone.clock.ahead += 15
    done = alone.until(status.key, JobState.FAILED, 2)
    assert (done.reason, done.exit_code) == (Reason.EXIT, 7)


@pytest.mark.parametrize(
    ("run", "restart_on", "again"),
    [
        ("exit 3", [3, 4], True),
        ("exit 5", [3, 4], False),
        ("exit 5", ["preempted"], False),
        ("true", [], False),
    ],
)
def test_only_what_was_named_starts_it_again(
    alone: Alone, run: str, restart_on: list[int | str], *, again: bool
) -> None:
    status = alone.up(run, max_restarts=1, restart_on=restart_on)
    wait_until(
        lambda: (
            alone.launcher.contexts.ledger.attempts(status.key)[0].end_at
            or alone.launcher.find(status.key).done
        )
    )
    assert alone.launcher.find(status.key).done is not again
    alone.launcher.cancel(status.key)


def test_a_job_between_two_attempts_can_be_cancelled(alone: Alone) -> None:
    status = alone.up("exit 1", max_restarts=5)
    alone.until(status.key, JobState.PENDING, 1)
    done = alone.launcher.cancel(status.key)
    assert (done.state, done.reason) == (JobState.CANCELLED, Reason.CANCELLED)
    alone.clock.ahead += 10_000
    alone.launcher.reconcile()
    assert alone.bench.running() == []


def test_the_values_of_a_job_are_kept_until_its_last_attempt_has_ended(alone: Alone) -> None:
    status = alone.up("echo $WORD; [ $TREBUCHET_ATTEMPT = 2 ]", max_restarts=1, envs={"WORD": "canary-value"})
    alone.until(status.key, JobState.PENDING, 1)
    assert alone.launcher.job(status.key).secret is not None
    alone.clock.ahead += 15
    alone.until(status.key, JobState.SUCCEEDED, 2)
    assert alone.launcher.job(status.key).secret is None
    assert alone.output(status.key) == "canary-value\ncanary-value\n"


def test_pauses_double_up_to_five_minutes() -> None:
    assert [pause_before(number, first_s=5) for number in range(8)] == [5, 10, 20, 40, 80, 160, 300, 300]


def test_a_keeper_starts_a_job_again_while_nobody_looks(bench: Bench) -> None:
    launcher = Launcher(replace(bench.launcher.settings, restart_pause_s=0.1))
    bench.kill_keepers()
    status = launcher.up(bench.job("[ $TREBUCHET_ATTEMPT = 3 ]", max_restarts=2), bench.cluster)[1]
    ledger = launcher.contexts.ledger
    wait_until(lambda: (job := ledger.job(status.key)) is not None and job.end_at is not None)
    done = launcher.find(status.key, cached=True)
    assert (done.state, done.attempt) == (JobState.SUCCEEDED, 3)
    launcher.close()


def test_a_keeper_that_is_killed_is_followed_by_the_next_command(bench: Bench) -> None:
    settings = replace(bench.launcher.settings, restart_pause_s=0.1)
    launcher = Launcher(settings)
    run = "[ $TREBUCHET_ATTEMPT = 1 ] && { sleep 1; exit 1; }; sleep 60"
    status = launcher.up(bench.job(run, max_restarts=2), bench.cluster)[1]
    bench.kill_keepers()
    wait_until(lambda: bench.running() == [])
    wait_until(lambda: (one := launcher.find(status.key)).state is JobState.RUNNING and one.attempt == 2)
    assert len(bench.running()) == 1
    launcher.cancel(status.key)
    launcher.close()


def test_a_follower_that_is_late_reads_each_attempts_own_log(alone: Alone) -> None:
    status = alone.up("echo attempt $TREBUCHET_ATTEMPT; [ $TREBUCHET_ATTEMPT = 3 ]", max_restarts=2)
    alone.until(status.key, JobState.PENDING, 1)
    [_, unasked] = alone.launcher.contexts.ledger.attempts(status.key)
    assert unasked.sandbox_id is None
    alone.clock.ahead += 15
    alone.until(status.key, JobState.PENDING, 2)
    alone.clock.ahead += 25
    alone.until(status.key, JobState.SUCCEEDED, 3)
    context = alone.launcher.contexts.of("local")
    chain = LogChain(context, status.key, follow=True, tell=lambda _message: None)
    second = alone.launcher.contexts.ledger.attempts(status.key)[1]
    assert second.sandbox_id is not None
    job = alone.launcher.job(status.key)
    log = chain._log_of(job, unasked)
    assert log.sandbox_id == second.sandbox_id
    assert [raw.entry.message for raw in log.read(follow=True) if raw.entry.source == "stdout"] == [
        "attempt 2\n"
    ]


CHAINED = """
echo "attempt $TREBUCHET_ATTEMPT resume ${TREBUCHET_RESUME:-no}"
trap 'echo saved; exit 0' TERM
[ "$TREBUCHET_ATTEMPT" = 3 ] || { : >/tmp/ready; sleep 60 & wait; }
"""


def test_a_job_that_outlives_a_sandbox_goes_on_in_the_next(short_lived: Alone) -> None:
    status = short_lived.up(CHAINED, timeout=5_000)
    for attempt in (1, 2):
        short_lived.until(status.key, JobState.RUNNING, attempt)
        short_lived.time_passes(status.key, "USR1")
    done = short_lived.launcher.wait([status.key], timeout=60)[0]
    assert (done.state, done.attempt, done.exit_code) == (JobState.SUCCEEDED, 3, 0)
    assert short_lived.output(status.key) == (
        "attempt 1 resume no\nsaved\nattempt 2 resume 1\nsaved\nattempt 3 resume 1\n"
    )
    assert short_lived.bench.running() == []
    assert short_lived.launcher.job(status.key).restarts == 0


def test_a_chain_ends_when_its_own_time_is_over(short_lived: Alone) -> None:
    status = short_lived.up("trap '' TERM; : >/tmp/ready; sleep 60", timeout=601)
    short_lived.until(status.key, JobState.RUNNING, 1)
    short_lived.time_passes(status.key, "USR1")
    short_lived.time_passes(status.key, "USR2")
    done = short_lived.launcher.wait([status.key], timeout=60)[0]
    assert (done.state, done.reason, done.attempt) == (JobState.FAILED, Reason.TIMEOUT, 2)
    attempts = short_lived.launcher.contexts.ledger.attempts(status.key)
    assert [one.allotted_s for one in attempts] == [600, 1]


def test_all_attempts_together_get_the_longest_duration(alone: Alone) -> None:
    alone.clock.ahead = -10  # The log tells an end by the system's clock: ten seconds after this launch.
    status = alone.up("exit 1", max_restarts=5, max_duration=30)
    alone.clock.ahead = 0
    alone.until(status.key, JobState.PENDING, 1)
    alone.clock.ahead += 15
    alone.until(status.key, JobState.PENDING, 2)
    given = [one.allotted_s for one in alone.launcher.contexts.ledger.attempts(status.key)]
    assert given[0] == 30
    assert given[1] is not None
    assert given[1] <= 20
    alone.launcher.cancel(status.key)


def test_a_job_whose_time_is_over_is_not_started_again(alone: Alone) -> None:
    alone.clock.ahead = -2
    status = alone.up("exit 1", max_restarts=5, max_duration=2)
    alone.clock.ahead = 0
    done = alone.launcher.wait([status.key], timeout=30)[0]
    assert (done.done, done.attempt) == (True, 1)


def test_what_a_job_may_cost_becomes_its_sandboxs_own_time_limit(bench: Bench) -> None:
    launcher = Launcher(bench.launcher.settings, price=lambda spec: 3_600.0)
    status = launcher.up(bench.job("sleep 60", max_cost=1.5), bench.cluster)[1]
    done = launcher.wait([status.key], timeout=30)[0]
    assert (done.state, done.reason) == (JobState.FAILED, Reason.TIMEOUT)
    assert launcher.contexts.ledger.attempts(status.key)[0].allotted_s == 1
    launcher.close()


def test_another_ledger_follows_a_chain_and_does_not_take_a_links_end_for_its_own(
    short_lived: Alone, tmp_path: Path
) -> None:
    (tmp_path / "local").symlink_to(short_lived.bench.home / "local")
    elsewhere = Launcher(replace(short_lived.launcher.settings, home=tmp_path))
    run = "[ $TREBUCHET_ATTEMPT = 1 ] || exit 0; trap 'exit 0' TERM; : >/tmp/ready; sleep 60 & wait"
    status = short_lived.up(run, timeout=5_000)
    [seen] = elsewhere.status("local", short_lived.bench.cluster)["local"]
    assert seen.id == status.id
    short_lived.time_passes(status.key, "USR1")
    wait_until(lambda: short_lived.bench.running() == [])
    wait_until(lambda: elsewhere.find(status.key).state is JobState.PENDING)
    assert not elsewhere.find(status.key).done
    done = short_lived.launcher.wait([status.key], timeout=60)[0]
    assert (done.state, done.attempt) == (JobState.SUCCEEDED, 2)
    elsewhere.close()
