"""What another account cannot see may well run: its word about a job writes nothing down."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from support.clocks import HandClock
from support.rows import SPEC, make_job
from trebuchet.errors import AuthenticationError, ControlPlaneError
from trebuchet.launcher import Launcher
from trebuchet.lifecycle import cancel, reconcile
from trebuchet.lifecycle.log_chain import LogChain
from trebuchet.status import JobState

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.bench import Bench
    from trebuchet.ledger import Job


def _of_somebody_else(bench: Bench, launcher: Launcher, key: str, **fields: object) -> Job:
    identity = launcher.contexts.of("local").engine.identity()
    job = make_job(
        f"{key}-{bench.cluster}",
        cluster=bench.cluster,
        control_plane=identity.control_plane,
        workspace="somebody-else",
        served_from=identity.environment,
        environment=launcher.settings.environment,
        start_at=1.0,
        **fields,
    )
    assert launcher.contexts.ledger.add(job, {}, (SPEC,))
    return job


LOOKS: dict[str, Callable[[Launcher, Job], object]] = {
    "a status": lambda launcher, job: launcher.client("local").get_status(job.key),
    "a look": lambda launcher, job: reconcile.look_at(launcher.contexts.of_job(job), job),
    "a cancel": lambda launcher, job: launcher.cancel(job.key),
    "an end": lambda launcher, job: cancel.see_end(launcher.contexts.of_job(job), job, patience_s=0),
    "a way inside": lambda launcher, job: launcher.client("local").inside(job).ports(),
    "a log": lambda launcher, job: LogChain(
        launcher.contexts.of_job(job), job.key, follow=True, tell=lambda _: None
    ).after(1),
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_nothing_that_looks_at_a_job_of_another_account_writes_its_loss_down(
    bench: Bench, look: Callable[[Launcher, Job], object]
) -> None:
    clock = HandClock()
    launcher = Launcher(bench.launcher.settings, clock=clock)
    job = _of_somebody_else(bench, launcher, "o", sandbox_id=f"sb-{bench.cluster}")
    for _ in range(3):
        clock.time += 100
        with pytest.raises(AuthenticationError, match="another account"):
            look(launcher, job)
    row = launcher.contexts.ledger.job(job.key)
    assert row is not None
    assert (row.state, row.missing_at, row.cancel_at, row.end_at) == (job.state, None, None, None)
    _put_away(launcher, job)


def test_a_launch_of_another_account_is_not_finished_under_this_one(bench: Bench) -> None:
    launcher = Launcher(bench.launcher.settings)
    job = _of_somebody_else(bench, launcher, "unmade")
    with pytest.raises(AuthenticationError):
        reconcile.finish_launch(launcher.contexts.of_job(job), job)
    assert bench.running() == []
    _put_away(launcher, job)


def test_ending_several_jobs_ends_those_of_this_account_and_tells_of_the_others(bench: Bench) -> None:
    ours = bench.up("sleep 60")
    other = _of_somebody_else(bench, bench.launcher, "beside", sandbox_id=f"sb-beside-{bench.cluster}")
    with pytest.raises(AuthenticationError, match="another account"):
        bench.launcher.stop("local", bench.cluster)
    assert bench.launcher.find(ours.key).state is JobState.CANCELLED
    row = bench.launcher.contexts.ledger.job(other.key)
    assert row is not None
    assert row.cancel_at is None
    _put_away(bench.launcher, other)


def test_a_status_that_could_not_be_had_is_no_status(bench: Bench) -> None:
    """A job whose sandbox's id is not known is found in a list, and that list fails."""
    job = replace(
        _of_somebody_else(bench, bench.launcher, "claimed"),
        workspace=bench.launcher.contexts.of("local").engine.identity().workspace,
        key=f"own-{bench.cluster}",
    )
    job = replace(job, current=replace(job.current, key=job.key, launch_tag=f"{job.key}.1", asked_at=1.0))
    ledger = bench.launcher.contexts.ledger
    assert ledger.add(job, {}, (SPEC,))
    bench.engine.set_faults({"call": "SandboxGetFromName*", "action": "refuse"})
    with pytest.raises(ControlPlaneError):
        bench.launcher.client("local").get_status(job.key)
    bench.engine.set_faults()
    bench.launcher.cancel(job.key)


def _put_away(launcher: Launcher, job: Job) -> None:
    """What no account can end would stay unfinished for the tests after this one."""
    launcher.contexts.ledger.forget(job.key)
