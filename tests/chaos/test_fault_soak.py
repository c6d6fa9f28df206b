"""Random operations under random faults: no wrong end, no sandbox too many, none that nobody knows.

A seed makes one run; `TREBUCHET_CHAOS_SEED` chooses another.
"""

from __future__ import annotations

import os
import random
import time
import uuid
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

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

CALLS = (
    "SandboxCreate*",
    "SandboxList*",
    "SandboxGetFromName*",
    "SandboxWait*",
    "SandboxTerminate*",
    "Sandbox*",
)
MOST_ALIVE = 12


@dataclass
class HastyClock:
    """Waits for almost nothing; tells the time as it is."""

    def now(self) -> float:
        return time.time()

    def sleep(self, seconds: float) -> None:
        time.sleep(min(seconds, 0.02))


@dataclass
class Soak:
    """One run.

    Attributes:
        scripts: What each key was launched with.
        cancelled: Keys whose end was asked for.
    """

    bench: Bench
    dice: random.Random
    launcher: Launcher
    scripts: dict[str, str] = field(default_factory=dict)
    cancelled: set[str] = field(default_factory=set)
    refused: int = 0

    def step(self) -> None:
        """One operation, with what may go wrong in it."""
        self.bench.engine.set_faults(*(self._fault() for _ in range(self.dice.choice((0, 1, 2, 3)))))
        act = self.dice.choice(
            (self.up, self.up, self.up_again, self.cancel, self.look, self.list, self.sweep)
        )
        if len(self.scripts) - len(self.cancelled) > MOST_ALIVE:
            act = self.cancel
        try:
            act()
        except TrebuchetError:
            self.refused += 1

    def _fault(self) -> dict[str, Any]:
        return {
            "call": self.dice.choice(CALLS),
            "times": self.dice.randint(1, 8),
            "after": self.dice.randint(0, 1),
            **self.dice.choice(
                (
                    {"action": "delay", "seconds": 0.05},
                    {"action": "cut"},
                    {"action": "lose_answer"},
                    {"action": "refuse", "status": "UNAVAILABLE"},
                    {"action": "refuse", "status": "RESOURCE_EXHAUSTED"},
                    {"action": "refuse", "status": "INTERNAL"},
                    {"action": "refuse", "status": "DEADLINE_EXCEEDED"},
                )
            ),
        }

    def up(self) -> None:
        key = f"f{self.dice.getrandbits(48):x}"
        self.scripts[key] = self.dice.choice(list(SCRIPTS))
        self._up(key)

    def up_again(self) -> None:
        if self.scripts:
            self._up(self._any_key())

    def _up(self, key: str) -> None:
        job = JobConfig(name="soak", run=self.scripts[key], resources=JobResources(cloud="local"))
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
        self.launcher = Launcher(self.bench.launcher.settings, clock=HastyClock())
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
        return job is not None and job.state is JobState.RUNNING and job.cancel_at is None

    def check(self) -> None:
        known = self.settle()
        for key, status in known.items():
            assert self._is_right(status), (SEED, status, self.scripts[key], self.launcher.events(key))
        running = {one.id for one in known.values() if not one.done}
        assert set(self.bench.running()) == running, SEED
        for key in self.scripts:
            made = _made(self.bench, key)
            assert len(made) <= 1, (SEED, key, made)
            assert key in known or not made, (SEED, key)

    def _is_right(self, status: JobStatus) -> bool:
        code = SCRIPTS[self.scripts[status.key]]
        if status.state is JobState.CANCELLED:
            return status.key in self.cancelled
        if status.reason is Reason.LAUNCH_FAILED:
            return True
        if status.state is JobState.RUNNING:
            return code is None and status.key not in self.cancelled
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
    launcher = Launcher(bench.launcher.settings, clock=HastyClock())
    run = Soak(bench, random.Random(seed), launcher)
    for _ in range(operations):
        run.step()
    run.check()
    assert any(_made(bench, key) for key in run.scripts), "the engine's books were not found"
    assert 0 < run.refused < operations
    print(f"seed {seed}: {operations} operations, {run.refused} refused, {len(run.scripts)} keys")
    bench.engine.set_faults()
    run.launcher.down("local", bench.cluster)
    run.launcher.close()


def test_some_operations_under_faults(bench: Bench) -> None:
    soak(bench, 40, f"{SEED}")


@pytest.mark.proof
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("turn", range(4))
def test_two_thousand_operations_under_faults(bench: Bench, turn: int) -> None:
    soak(bench, 500, f"{SEED} {turn}")
