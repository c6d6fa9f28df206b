"""Random operations under random faults: no wrong end, no sandbox too many, none that nobody knows.

A seed makes one run; `TREBUCHET_CHAOS_SEED` chooses another.
"""

from __future__ import annotations

import os
import random
import uuid
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from support.clocks import AheadClock
from support.engine import wait_until
from trebuchet.errors import TrebuchetError
from trebuchet.job import JobConfig, JobResources
from trebuchet.launcher import Launcher
from trebuchet.status import JobState, Reason

if TYPE_CHECKING:
    from support.bench import Bench
    from trebuchet.status import JobStatus

SEED = int(os.environ.get("TREBUCHET_CHAOS_SEED", "20261124"))
SCRIPTS = {"true": 0, "exit 3": 3, "sleep 600": None}
"""What jobs run, and the exit codes they end with by themselves."""

GPU_ONE_IN = 8
"""One job of so many wants a GPU, and runs for long: one that ended at once could not be found, by what Modal
tells of sandboxes with GPUs, and would rightly be made again after a lost answer."""

CALLS = {
    "SandboxCreate*": 4,
    "SandboxList*": 2,
    "SandboxGetFromName*": 1,
    "SandboxWait*": 2,
    "SandboxTerminate*": 1,
    "Sandbox*": 1,
}
"""What goes wrong, and how often beside the others."""

TIMES = (1, 2, 4, 6, 12)
"""How often in a row. The SDK asks four times by itself: what goes wrong more often, the launcher sees."""

ACTIONS: dict[str, int] = {
    "lose_answer": 4,
    "cut": 2,
    "delay": 1,
    "UNAVAILABLE": 1,
    "RESOURCE_EXHAUSTED": 1,
    "INTERNAL": 1,
    "DEADLINE_EXCEEDED": 1,
}
"""What happens: an action, or the status of a refusal; and how often beside the others."""
OUTAGES: tuple[tuple[dict[str, Any], ...], ...] = (
    (
        {"call": "SandboxCreate*", "action": "lose_answer", "times": 12},
        # A launch looks for its key first, and asks for nothing where it cannot: that look goes right.
        {"call": "SandboxList*", "action": "refuse", "times": 40, "after": 1},
        {"call": "SandboxGetFromName*", "action": "refuse", "times": 40},
    ),
    ({"call": "SandboxWait*", "action": "refuse", "times": 40},),
)
"""What chance alone brings together too seldom: something was made, or has ended, and nothing tells."""

OUTAGE_ONE_IN = 6
MOST_ALIVE = 12


@dataclass
class Soak:
    """One run.

    Attributes:
        scripts: What each key was launched with.
        gpus: Keys of those that want one.
        cancelled: Keys whose end was asked for.
        ends: How each job that has ended was seen to have ended, at first.
    """

    bench: Bench
    dice: random.Random
    launcher: Launcher
    scripts: dict[str, str] = field(default_factory=dict)
    gpus: set[str] = field(default_factory=set)
    cancelled: set[str] = field(default_factory=set)
    ends: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    refused: int = 0

    def step(self) -> None:
        """One operation, with what may go wrong in it."""
        self.bench.engine.set_faults(*self._faults())
        act = self.dice.choice(
            (self.up, self.up, self.up_again, self.cancel, self.look, self.list, self.sweep)
        )
        if len(self.scripts) - len(self.cancelled) > MOST_ALIVE:
            act = self.cancel
        try:
            act()
        except TrebuchetError:
            self.refused += 1
        self.check_ends()

    def check_ends(self) -> None:
        """An end that was once told stays as it is."""
        for one in self.launcher.jobs():
            if one.done and one.key in self.scripts:
                end = (one.state, one.reason, one.exit_code, one.id, one.end_at)
                assert self.ends.setdefault(one.key, end) == end, (SEED, one.key)

    def _faults(self) -> list[dict[str, Any]]:
        if self.dice.randrange(OUTAGE_ONE_IN) == 0:
            return list(self.dice.choice(OUTAGES))
        return [self._fault() for _ in range(self.dice.choice((0, 1, 2, 3)))]

    def _fault(self) -> dict[str, Any]:
        [call] = self.dice.choices(list(CALLS), list(CALLS.values()))
        [action] = self.dice.choices(list(ACTIONS), list(ACTIONS.values()))
        fault = {"call": call, "times": self.dice.choice(TIMES), "after": self.dice.choice((0, 0, 0, 1))}
        if action == "delay":
            return {**fault, "action": action, "seconds": 0.05}
        if action.isupper():
            return {**fault, "action": "refuse", "status": action}
        return {**fault, "action": action}

    def up(self) -> None:
        key = f"f{self.dice.getrandbits(48):x}"
        self.scripts[key] = self.dice.choice(list(SCRIPTS))
        if self.dice.randrange(GPU_ONE_IN) == 0:
            self.scripts[key] = "sleep 600"
            self.gpus.add(key)
        self._up(key)

    def up_again(self) -> None:
        if self.scripts:
            self._up(self._any_key())

    def _up(self, key: str) -> None:
        resources = JobResources(cloud="local", accelerators="H100" if key in self.gpus else None)
        job = JobConfig(name="soak", run=self.scripts[key], resources=resources)
        self.launcher.up(job, self.bench.cluster, key=key)

    def cancel(self) -> None:
        if self.scripts:
            key = self._any_key(alive=True)
            if self.launcher.contexts.ledger.job(key) is not None:
                self.cancelled.add(key)
                self.launcher.cancel(key)

    def look(self) -> None:
        if self.scripts:
            self.launcher.find(self._any_key())

    def list(self) -> None:
        self.launcher.status("local", self.bench.cluster)

    def sweep(self) -> None:
        self.launcher.close()  # What was remembered is gone, as in another process.
        self.launcher = Launcher(self.launcher.settings, clock=AheadClock())
        self.launcher.reconcile()

    def _any_key(self, *, alive: bool = False) -> str:
        keys = [key for key in self.scripts if not (alive and key in self.cancelled)]
        return self.dice.choice(keys or list(self.scripts))

    def settle(self) -> dict[str, JobStatus]:
        """With nothing going wrong any more, until nothing changes: every job of the ledger."""
        self.bench.engine.set_faults()
        ledger = self.launcher.contexts.ledger

        def settled() -> bool:
            self.launcher.reconcile()
            open_jobs = [job for job in ledger.jobs(unfinished=True) if job.key in self.scripts]
            return all(self.scripts[job.key].startswith("sleep") and self._runs(job.key) for job in open_jobs)

        wait_until(settled, 120)
        return {one.key: one for one in self.launcher.jobs() if one.key in self.scripts}

    def _runs(self, key: str) -> bool:
        job = self.launcher.contexts.ledger.job(key)
        if job is None or job.cancel_at is not None:
            return False
        queued = key in self.gpus and job.sandbox_id is not None
        return job.state is JobState.RUNNING or queued

    def check(self) -> None:
        known = self.settle()
        for key, status in known.items():
            assert self._is_right(status), (SEED, status, self.scripts[key], self.launcher.events(key))
        self.check_ends()
        running = {one.id for one in known.values() if not one.done}
        # The app is this run's alone: whatever is in it and in no row is an orphan, whatever its tags.
        listed = self.launcher.contexts.of("local").engine.find({})
        assert sorted(listed) == sorted(running), SEED
        for key in self.scripts:
            made = _made(self.bench, key)
            assert len(made) <= 1, (SEED, key, made, self.launcher.events(key) if key in known else None)
            assert key in known or not made, (SEED, key)
            if key in known:
                self._check_history(known[key])

    def _check_history(self, status: JobStatus) -> None:
        kinds = [event.kind for event in self.launcher.events(status.key)]
        assert kinds.count("intended") == 1, (SEED, status, kinds)
        assert kinds.count("created") <= 1, (SEED, status, kinds)
        assert kinds.count("ended") == int(status.done), (SEED, status, kinds)

    def _is_right(self, status: JobStatus) -> bool:
        code = SCRIPTS[self.scripts[status.key]]
        if status.state is JobState.CANCELLED:
            return status.key in self.cancelled
        if status.reason is Reason.LAUNCH_FAILED:
            return True
        if not status.done:
            waits = status.state is JobState.PENDING and status.key in self.gpus
            return (status.state is JobState.RUNNING or waits) and (
                code is None and status.key not in self.cancelled
            )
        expected = JobState.SUCCEEDED if code == 0 else JobState.FAILED
        return (status.state, status.reason, status.exit_code) == (expected, Reason.EXIT, code)


def _made(bench: Bench, key: str) -> list[str]:
    """Every sandbox that the engine ever made for a key, from its own books."""
    return [
        file.parent.name
        for file in (bench.home / "local" / "sandboxes").glob("*/journal")
        if f'"{key}"' in file.read_text(encoding="utf-8")
    ]


def soak(bench: Bench, operations: int, seed: str) -> None:
    bench = replace(bench, cluster=f"f-{uuid.uuid4().hex[:8]}")
    settings = replace(bench.launcher.settings, app_name=bench.cluster, archive=False)
    launcher = Launcher(settings, clock=AheadClock())
    run = Soak(bench, random.Random(seed), launcher)
    for _ in range(operations):
        run.step()
    run.check()
    assert any(_made(bench, key) for key in run.scripts), "the engine's books were not found"
    assert 0 < run.refused < operations
    print(
        f"seed {seed}: {operations} operations, {run.refused} refused, {len(run.scripts)} keys, "
        f"{len(run.gpus)} with a GPU, {len(run.ends)} ended"
    )
    bench.engine.set_faults()
    run.launcher.down("local", bench.cluster)
    run.launcher.close()


def test_some_operations_under_faults(bench: Bench) -> None:
    soak(bench, 15, f"{SEED}")


@pytest.mark.proof
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("turn", range(4))
def test_two_thousand_operations_under_faults(bench: Bench, turn: int) -> None:
    soak(bench, 500, f"{SEED} {turn}")
