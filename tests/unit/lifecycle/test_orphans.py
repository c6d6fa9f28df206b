"""What runs and nobody here needs: whose it is, and what may be ended without asking anybody."""

from __future__ import annotations

import socket
import sqlite3
import time
import uuid
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from trebuchet.launcher import Launcher
from trebuchet.ledger import Outcome
from trebuchet.settings import Settings
from trebuchet.status import JobState, Reason

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.bench import Bench
    from trebuchet.lifecycle.orphans import Orphan
    from trebuchet.status import JobStatus

SUCCESS = Outcome(state=JobState.SUCCEEDED, reason=Reason.EXIT, exit_code=0)


@dataclass
class LateClock:
    """The system's clock, so many seconds ahead."""

    ahead: float = 0.0

    def now(self) -> float:
        return time.time() + self.ahead

    def sleep(self, seconds: float) -> None:
        self.ahead += seconds


@dataclass
class Machines:
    """Two ledgers that launch into one app of one engine, where nobody else does."""

    bench: Bench
    here: Launcher
    elsewhere: Launcher
    clock: LateClock

    def up(self, launcher: Launcher, **options: str) -> JobStatus:
        return launcher.up(self.bench.job("sleep 600", name="train"), self.bench.cluster, **options)[1]

    def orphans(self) -> dict[str, Orphan]:
        """What this machine makes of the sandboxes that run, by id."""
        return {one.id: one for one in self.here.orphans("local")}

    def ends_in_the_ledger_alone(self, status: JobStatus) -> None:
        assert self.here.contexts.ledger.ended(self.here.job(status.key).current, SUCCESS, at=time.time())


@pytest.fixture
def machines(bench: Bench, tmp_path: Path) -> Iterator[Machines]:
    with machines_on(bench, tmp_path, app=f"app-{uuid.uuid4().hex[:8]}") as machines:
        yield machines


@contextmanager
def machines_on(bench: Bench, folder: Path, *, app: str) -> Iterator[Machines]:
    (folder / "local").symlink_to(bench.home / "local")
    clock = LateClock()
    here = Launcher(replace(bench.launcher.settings, app_name=app), clock=clock)
    elsewhere = Launcher(Settings(home=folder, app_name=app))
    yield Machines(bench, here, elsewhere, clock)
    here.end_orphans(here.orphans("local"))
    for launcher in (here, elsewhere):
        for job in launcher.jobs(cluster=bench.cluster):
            launcher.cancel(job.key)
        launcher.close()


def test_a_job_of_ones_own_is_none(machines: Machines) -> None:
    machines.up(machines.here)
    assert machines.orphans() == {}


def test_another_machines_job_is_listed_with_its_owner_and_not_as_abandoned(machines: Machines) -> None:
    status = machines.up(machines.elsewhere)
    found = machines.orphans()[status.id]
    assert (found.key, found.name, found.owner) == (status.key, "train", socket.gethostname())
    assert not found.abandoned


def test_an_adopted_job_is_none(machines: Machines) -> None:
    machines.up(machines.elsewhere)
    machines.here.adopt("local")
    assert machines.orphans() == {}


def test_what_runs_on_after_its_job_has_ended_is_abandoned(machines: Machines) -> None:
    status = machines.up(machines.here)
    machines.ends_in_the_ledger_alone(status)
    found = machines.orphans()[status.id]
    assert found.abandoned
    assert "SUCCEEDED" in found.why


def test_what_the_ledger_asked_for_and_has_forgotten_is_abandoned(machines: Machines) -> None:
    status = machines.up(machines.here)
    machines.ends_in_the_ledger_alone(status)
    machines.clock.ahead += 1
    machines.here.prune(older_than_s=0.5)
    found = machines.orphans()[status.id]
    assert (found.key, found.abandoned) == (status.key, True)


def test_what_a_restored_ledger_does_not_know_is_not_abandoned(machines: Machines) -> None:
    status = machines.up(machines.here)
    with closing(sqlite3.connect(machines.bench.home / "ledger.sqlite3", isolation_level=None)) as ledger:
        ledger.execute("PRAGMA foreign_keys = ON")
        ledger.execute("DELETE FROM jobs WHERE key = ?", (status.key,))
    found = machines.orphans()[status.id]
    assert not found.abandoned
    assert "status --all" in found.why
    assert machines.here.adopt_everywhere("local") == {}
    assert machines.orphans() == {}


def test_a_sandbox_too_many_of_a_running_job_is_abandoned(machines: Machines) -> None:
    status = machines.up(machines.here)
    context = machines.here.contexts.of("local")
    tags = context.engine.tags(status.id)
    spec = machines.here.contexts.ledger.recipe(status.key).candidates[0]
    twin = context.engine.create(replace(spec, tags=tags, name=f"twin-{uuid.uuid4().hex[:8]}"))
    found = machines.orphans()
    assert set(found) == {twin}
    assert found[twin].abandoned
    assert status.id in found[twin].why


def test_a_launch_under_way_is_none(machines: Machines) -> None:
    status = machines.up(machines.here)
    ledger = machines.here.contexts.ledger
    ledger.no_capacity(machines.here.job(status.key).current, candidate=0, gpu=None, at=time.time())
    assert machines.orphans() == {}
    assert machines.here.find(status.key).id == status.id


def test_what_is_there_long_after_its_owner_expected_its_end_is_abandoned(machines: Machines) -> None:
    status = machines.up(machines.elsewhere)
    tags = machines.here.contexts.of("local").engine.tags(status.id)
    expected = int(tags["trebuchet-until"])
    assert 0 < expected - time.time() <= machines.here.settings.longest_s
    machines.clock.ahead = expected - time.time() + 3_500
    assert not machines.orphans()[status.id].abandoned
    machines.clock.ahead += 200
    assert machines.orphans()[status.id].abandoned


def test_a_key_that_ended_here_and_runs_anew_elsewhere_is_not_abandoned(machines: Machines) -> None:
    key = f"k{uuid.uuid4().hex[:10]}"
    machines.here.cancel(machines.up(machines.here, key=key).key)
    status = machines.up(machines.elsewhere, key=key)
    assert not machines.orphans()[status.id].abandoned


def test_a_sandbox_without_tags_is_nobodys_and_not_known_to_be_abandoned(machines: Machines) -> None:
    context = machines.here.contexts.of("local")
    status = machines.up(machines.here)
    spec = machines.here.contexts.ledger.recipe(status.key).candidates[0]
    stranger = context.engine.create(replace(spec, tags={}, name=None))
    found = machines.orphans()[stranger]
    assert (found.key, found.owner, found.abandoned) == (None, None, False)


def test_a_queued_sandbox_is_expected_until_its_wait_and_its_life_are_over(machines: Machines) -> None:
    machines.bench.engine.hold_gpus(H100=4)
    job = machines.bench.job("true", gpu="H100", timeout=100)
    before = time.time()
    status = machines.elsewhere.up(job, machines.bench.cluster, wait_for_gpu=1_000)[1]
    tags = machines.here.contexts.of("local").engine.tags(status.id)
    assert 1_099 <= int(tags["trebuchet-until"]) - before <= 1_110
    machines.elsewhere.cancel(status.key)
