"""Cores and memory are waited for like GPUs: in turn, small ones in the gaps, large ones not for ever."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import TYPE_CHECKING

import modal
import pytest
from modal.exception import InvalidError

from support.engine import Engine, local_engine, wait_until
from support.sandboxes import supervisor_of
from trebuchet.emulator.endpoint import daemon_lives
from trebuchet.emulator.process.spec import ProcessState
from trebuchet.emulator.world.sandbox import Outcome, Standing, result_of

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOM = {"TREBUCHET_LOCAL_GPUS": "", "TREBUCHET_LOCAL_CPUS": "4", "TREBUCHET_LOCAL_MEMORY_MIB": "4096"}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine with four cores and four gigabytes to lend."""
    with local_engine(tmp_path_factory.mktemp("small"), env=ROOM) as made:
        yield made


@pytest.fixture
def engine(small: Engine) -> Iterator[Engine]:
    yield small
    for sandbox_id in small.listed():
        small.get(sandbox_id).terminate()
    wait_until(lambda: not small.listed())


def waiting(engine: Engine) -> dict[str, str]:
    return json.loads(engine.ask("GET", "waiting"))


def test_one_that_does_not_fit_waits_and_says_for_what(engine: Engine) -> None:
    first = engine.create("sleep", "100", cpu=3, memory=1024)
    cores = engine.create("echo", "cores", cpu=2, env={"A": "b"})
    memory = engine.create("echo", "memory", memory=4000)
    assert waiting(engine) == {
        cores.object_id: "1 of 2 CPU cores, 1st in the queue",
        memory.object_id: "928 of 4000 MiB of memory, 2nd in the queue",
    }
    assert cores.poll() is None
    assert list(cores.logs.tail(5)) == []
    first.terminate()
    assert cores.stdout.read() == "cores\n"
    assert memory.stdout.read() == "memory\n"
    assert waiting(engine) == {}


def test_one_that_asks_for_nothing_never_waits(engine: Engine) -> None:
    engine.create("sleep", "100", cpu=4, memory=4096)
    waits = engine.create("true", cpu=0.125)
    assert engine.run("echo", "at once") == (0, "at once\n")
    assert list(waiting(engine)) == [waits.object_id]


def test_one_that_asks_for_more_than_there_is_gets_all(engine: Engine) -> None:
    assert engine.run("echo", "alone", cpu=64, memory=1_000_000) == (0, "alone\n")


def test_small_ones_fill_gaps_until_a_large_one_was_overtaken_often_enough(engine: Engine) -> None:
    holder = engine.create("sleep", "100", cpu=2)
    large = engine.create("echo", "large", cpu=4)
    for _ in range(8):
        assert engine.run("echo", "small", cpu=1) == (0, "small\n")
    last = engine.create("echo", "last", cpu=1)
    assert waiting(engine) == {
        large.object_id: "2 of 4 CPU cores, 1st in the queue",
        last.object_id: "its turn, 2nd in the queue",
    }
    holder.terminate()
    assert large.stdout.read() == "large\n"
    assert last.stdout.read() == "last\n"


def test_what_waits_can_be_entered_fed_and_ended(engine: Engine) -> None:
    holder = engine.create("sleep", "100", cpu=4)
    ended = engine.create("true", cpu=1)
    ended.terminate()
    ended.wait(raise_on_termination=False)
    assert ended.returncode == 137
    assert ended.stdout.read() == ""
    fed = engine.create("cat", cpu=1)
    fed.stdin.write("later")
    fed.stdin.write_eof()
    holder.terminate()
    fed.stdin.drain()
    assert fed.stdout.read() == "later"


def test_those_that_wait_outlive_the_daemon(engine: Engine) -> None:
    holder = engine.create("sleep", "100", cpu=4)
    secret = modal.Secret.from_dict({"WORD": "said"})
    plain = engine.create("echo", "kept", cpu=1)
    told = engine.create("sh", "-c", "echo $WORD", cpu=1, secrets=[secret], tags={"still": "there"})
    engine.kill()
    engine.start()
    assert list(waiting(engine)) == [plain.object_id, told.object_id]
    holder.terminate()
    assert plain.stdout.read() == "kept\n"
    assert told.stdout.read() == "said\n"
    assert told.get_tags() == {"still": "there"}


def test_a_reboot_ends_what_ran_and_keeps_what_waited(engine: Engine) -> None:
    ran = engine.create("sh", "-c", "echo up; exec sleep 100", cpu=4)
    assert next(iter(ran.stdout)) == "up\n"
    waits = engine.create("echo", "still here", cpu=4)
    os.kill(engine.endpoint.pid, signal.SIGKILL)  # first: it would see the end of the other
    supervisor = supervisor_of(engine.state / "sandboxes" / ran.object_id / "process")
    os.kill(supervisor, signal.SIGKILL)
    wait_until(lambda: not daemon_lives(engine.state))
    engine.start()
    ran.wait(raise_on_termination=False)
    assert ran.returncode == 1
    assert waits.stdout.read() == "still here\n"


def test_a_higher_priority_starts_first(engine: Engine) -> None:
    holder = engine.create("sleep", "100", cpu=4)
    usual = engine.create("sleep", "0.1", cpu=4)
    urgent = engine.create("sleep", "0.1", cpu=4, tags={"trebuchet-priority": "10"})
    someday = engine.create("sleep", "0.1", cpu=4, tags={"trebuchet-priority": "-10"})
    assert waiting(engine) == {
        urgent.object_id: "4 of 4 CPU cores, 1st in the queue",
        usual.object_id: "4 of 4 CPU cores, 2nd in the queue",
        someday.object_id: "4 of 4 CPU cores, 3rd in the queue",
    }
    engine.kill()
    engine.start()
    assert list(waiting(engine)) == [urgent.object_id, usual.object_id, someday.object_id]
    holder.terminate()
    for sandbox in (urgent, usual, someday):
        sandbox.wait()
    began = [json.loads(journal(engine, one)[-1])["started_at"] for one in (urgent, usual, someday)]
    assert began == sorted(began)


@pytest.mark.parametrize("priority", ["high", "1001", "1e2", "", "+1", "--1"])
def test_a_priority_that_is_none_is_refused(engine: Engine, priority: str) -> None:
    with pytest.raises(InvalidError, match="whole number from -1000 to 1000"):
        engine.create("true", tags={"trebuchet-priority": priority})


def journal(engine: Engine, sandbox: modal.Sandbox) -> list[str]:
    text = (engine.state / "sandboxes" / sandbox.object_id / "journal").read_text()
    return [line for line in text.splitlines() if line]


def test_what_was_lost_says_whether_the_machine_was_restarted() -> None:
    before = result_of(ProcessState(phase="lost", started_at=1.0), Standing())
    assert (before.outcome, before.message) == (
        Outcome.LOST,
        "The machine was restarted while the sandbox ran.",
    )
    since = result_of(ProcessState(phase="lost", started_at=time.time()), Standing())
    assert since.message == "The sandbox's processes were ended from outside."
