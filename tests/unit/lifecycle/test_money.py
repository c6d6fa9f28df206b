"""What a job may cost, and what it has cost, by the control plane's own rates and figures."""

from __future__ import annotations

import json
import urllib.request
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from support.engine import wait_until
from trebuchet.emulator.daemon import running
from trebuchet.engines.local import LocalDaemon
from trebuchet.errors import LaunchError
from trebuchet.job import JobConfig, JobResources
from trebuchet.launcher import Launcher
from trebuchet.lifecycle.clock import SystemClock
from trebuchet.settings import Settings
from trebuchet.status import JobState, JobStatus, Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

MACHINE = "4xH100,2xA100-80GB,1xT4"
RATES = {
    "cpu_hour_cost_sandbox": "0.8",
    "mem_gib_hour_cost_sandbox": "0.8",
    "gpu_hour_cost_h100": "3600",
    "gpu_hour_cost_a100_80gb": "1800",
}
"""By them, what asks for nothing costs 0.2 dollars an hour: an eighth of a core and of a GiB."""


class LateClock(SystemClock):
    """A clock that can be put forward."""

    ahead = 0.0

    def now(self) -> float:
        return super().now() + self.ahead


@pytest.fixture(scope="module")
def priced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalDaemon]:
    """An engine that pretends prices."""
    daemon = LocalDaemon(Settings(home=tmp_path_factory.mktemp("priced")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TREBUCHET_LOCAL_GPUS", MACHINE)
        patch.setenv("TREBUCHET_LOCAL_LAYERS", "recorded")  # nothing has to be fetched for these
        patch.setenv("TREBUCHET_LOCAL_RATES", json.dumps(RATES))
        daemon.variables()
    yield daemon
    daemon.stop()


@pytest.fixture
def launcher(
    priced: LocalDaemon, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Launcher]:
    """One for which that engine is Modal."""
    monkeypatch.setenv("TREBUCHET_LOCAL_GPUS", MACHINE)  # told of others, the engine would be started anew
    for name, value in priced.variables().items():
        monkeypatch.setenv(name, value)
    launcher = Launcher(Settings(home=tmp_path_factory.mktemp("money")), clock=LateClock())
    yield launcher
    for status in launcher.jobs():
        launcher.cancel(status.key)
    launcher.close()


def calls(engine: LocalDaemon) -> dict[str, int]:
    """How often each call was made."""
    endpoint = running(engine.state)
    assert endpoint is not None
    token = {"Authorization": f"Bearer {endpoint.token_secret}"}
    request = urllib.request.Request(f"{endpoint.url}/_trebuchet/calls", headers=token)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read())


def job(run: str, **fields: Any) -> JobConfig:
    resources = {
        name: fields.pop(name) for name in ("accelerators", "cpus", "memory", "region") if name in fields
    }
    return JobConfig(name="job", run=run, resources=JobResources(cloud="modal", **resources), **fields)


def allotted(launcher: Launcher, status: JobStatus) -> list[int | None]:
    return [one.allotted_s for one in launcher.contexts.ledger.attempts(status.key)]


@pytest.mark.parametrize(
    ("asked", "max_cost", "seconds"),
    [
        ({}, 0.1, 1800),
        ({"cpus": 2}, 0.9, 3600),  # two of a job file's are one core
        ({"memory": 1}, 0.9, 3600),
        ({"accelerators": "H100:2"}, 7200 / 60, 59),
        ({"accelerators": "A100-80GB"}, 1800 / 60, 59),
    ],
    ids=["nothing asked for", "cores", "memory", "two GPUs", "a GPU of two kinds"],
)
def test_what_a_job_may_cost_becomes_time_by_the_workspaces_own_rates(
    launcher: Launcher, asked: dict[str, Any], max_cost: float, seconds: int
) -> None:
    _, status = launcher.up(job("sleep 600", max_cost=max_cost, **asked))
    assert allotted(launcher, status) == [seconds]
    assert status.cost_per_hour is None
    launcher.cancel(status.key)


def test_the_rates_are_looked_up_once_for_all_launches(launcher: Launcher, priced: LocalDaemon) -> None:
    before = calls(priced).get("WorkspaceBillingRates", 0)
    for _ in range(2):
        launcher.cancel(launcher.up(job("true", max_cost=0.1))[1].key)
    assert calls(priced)["WorkspaceBillingRates"] == before + 1


@pytest.mark.parametrize(
    "asked",
    [{"accelerators": "T4"}, {"region": "us-east"}],
    ids=["a GPU that is not among them", "a region, whose price they do not tell"],
)
def test_a_price_that_the_rates_do_not_tell_is_no_price(launcher: Launcher, asked: dict[str, Any]) -> None:
    with pytest.raises(LaunchError, match="max_cost") as told:
        launcher.up(job("true", max_cost=1, **asked))
    assert "max_duration" in (told.value.hint or "")
    assert launcher.jobs() == []


def test_a_price_function_of_the_callers_goes_before_the_rates(launcher: Launcher) -> None:
    mine = Launcher(launcher.settings, price=lambda spec: 3600.0)
    _, status = mine.up(job("sleep 600", max_cost=20))
    assert (allotted(mine, status), status.cost_per_hour) == ([20], 3600.0)
    mine.cancel(status.key)
    mine.close()


def test_the_money_of_all_attempts_is_counted(launcher: Launcher) -> None:
    impatient = Launcher(replace(launcher.settings, restart_pause_s=0.0))
    wanted = job("sleep 2; exit 1", accelerators="H100", max_cost=60, max_restarts=3)
    _, status = impatient.up(wanted)
    wait_until(lambda: impatient.find(status.key).attempt == 2)
    first, second = allotted(impatient, status)[:2]
    assert first is not None
    assert second is not None
    assert second <= first - 2
    impatient.cancel(status.key)
    impatient.close()


def test_money_that_is_spent_ends_the_job(launcher: Launcher) -> None:
    _, status = launcher.up(job("sleep 60", accelerators="H100", max_cost=2.1))
    [done] = launcher.wait([status.key], timeout=60)
    assert (done.state, done.reason) == (JobState.FAILED, Reason.TIMEOUT)


def test_what_a_finished_job_has_cost_is_told_by_the_services_own_figures(launcher: Launcher) -> None:
    _, status = launcher.up(job("sleep 1", accelerators="H100"))
    launcher.wait([status.key], timeout=60)
    told = json.loads(launcher.find(status.key).metadata)["cost"]
    assert 1.0 <= told <= 30.0  # a dollar a second, and the time that a start takes
    assert json.loads(launcher.find(status.key, cached=True).metadata)["cost"] == told
    [named] = launcher.status("modal", id=status.key)["modal"]
    assert json.loads(named.metadata)["cost"] == told


def test_a_cost_that_is_settled_is_not_asked_for_again(launcher: Launcher) -> None:
    _, status = launcher.up(job("true"))
    launcher.wait([status.key], timeout=60)
    ledger, clock = launcher.contexts.ledger, launcher.contexts.clock
    assert isinstance(clock, LateClock)
    clock.ahead += 3600
    assert json.loads(launcher.find(status.key).metadata)["cost"] < 1
    ledger.cost(status.key, 5.0, at=clock.now())
    assert json.loads(launcher.find(status.key).metadata)["cost"] == 5.0


def test_a_job_on_this_machine_costs_nothing_and_nobody_is_asked(launcher: Launcher) -> None:
    config = JobConfig(name="job", run="true", resources=JobResources(cloud="local"), max_cost=0.01)
    _, status = launcher.up(config)
    launcher.wait([status.key], timeout=60)
    assert allotted(launcher, status) == [86_400]
    assert "cost" not in json.loads(launcher.find(status.key).metadata)
    LocalDaemon(launcher.settings).stop()
