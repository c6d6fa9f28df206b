"""GPUs are lent, waited for in turn, and refused where there can never be any."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import uuid
from typing import TYPE_CHECKING

import modal
import pytest
from modal.exception import ConflictError, ExecutionError, InvalidError

from support.engine import wait_until
from trebuchet.emulator import machine
from trebuchet.emulator.errors import EmulatorError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.engine import Engine


class Creating:
    """A `create` that blocks, as one with a GPU does, in a thread of its own."""

    def __init__(self, engine: Engine, *argv: str, **options: object) -> None:
        self.mark = uuid.uuid4().hex[:12]
        self.sandbox: modal.Sandbox | None = None
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._create, args=(engine, argv, options), daemon=True)
        self._thread.start()
        wait_until(lambda: self.sandbox or self.error or engine.listed(mark=self.mark))

    def _create(self, engine: Engine, argv: tuple[str, ...], options: dict[str, object]) -> None:
        try:
            self.sandbox = engine.create(*argv, tags={"mark": self.mark}, **options)
        except BaseException as error:  # noqa: BLE001 - handed to the test
            self.error = error

    def result(self) -> modal.Sandbox:
        self._thread.join(30)
        if self.error is not None:
            raise self.error
        assert self.sandbox is not None
        return self.sandbox

    @property
    def waits(self) -> bool:
        return self._thread.is_alive()


@pytest.fixture
def held(engine: Engine) -> Iterator[Engine]:
    """The engine, all of its H100s in others' hands."""
    engine.hold_gpus(H100=2)
    yield engine
    engine.hold_gpus()


def test_what_the_machine_can_never_give_is_refused_at_once(engine: Engine) -> None:
    mark = uuid.uuid4().hex
    for gpu in ("B200", "H100:3", "A100:2", "any:4"):
        with pytest.raises(InvalidError, match="has 1 x A100-80GB, 2 x H100"):
            engine.create("sleep", "60", gpu=gpu, tags={"mark": mark})
    assert engine.listed(mark=mark) == []  # Others may still be ending.


@pytest.mark.parametrize("gpu", ["H100", "h100:2", "H100!", "A100", "A100-80GB", "any", "any:3"])
def test_what_the_machine_has_is_given(engine: Engine, gpu: str) -> None:
    assert engine.run("echo", "ran", gpu=gpu) == (0, "ran\n")


def test_pretended_gpus_are_told_by_index_and_never_shared(engine: Engine) -> None:
    say = "echo $CUDA_VISIBLE_DEVICES $NVIDIA_VISIBLE_DEVICES; sleep 60"
    both = [engine.create("sh", "-c", say, gpu="H100") for _ in range(2)]
    told = [next(iter(sandbox.stdout)).split() for sandbox in both]
    for sandbox in both:
        sandbox.terminate()
        sandbox.wait(raise_on_termination=False)
    assert sorted(told) == [["0", "0"], ["1", "1"]]


def test_one_that_waits_is_listed_and_has_no_logs_yet(held: Engine) -> None:
    creating = Creating(held, "echo", "at last", gpu="H100")
    (sandbox_id,) = held.listed(mark=creating.mark)
    waiting = held.get(sandbox_id)
    assert waiting.poll() is None
    with pytest.raises(ExecutionError):
        list(waiting.logs.tail(1))
    assert creating.waits
    held.hold_gpus()
    sandbox = creating.result()
    assert sandbox.object_id == sandbox_id
    assert sandbox.stdout.read() == "at last\n"


def test_those_that_wait_go_in_turn(engine: Engine) -> None:
    first = engine.create("sleep", "60", gpu="H100:2")
    wide = Creating(engine, "sleep", "60", gpu="H100:2")
    narrow = Creating(engine, "sleep", "60", gpu="H100")
    other = engine.create("true", gpu="A100")
    other.wait()
    first.terminate()
    second = wide.result()
    assert narrow.waits
    second.terminate()
    third = narrow.result()
    third.terminate()
    third.wait(raise_on_termination=False)


def test_one_that_waits_can_be_terminated(held: Engine) -> None:
    creating = Creating(held, "true", gpu="H100")
    (sandbox_id,) = held.listed(mark=creating.mark)
    held.get(sandbox_id).terminate()
    assert held.get(sandbox_id).returncode == 137
    with pytest.raises(ConflictError):
        creating.result()


ABANDONED = """
import sys
import modal
client = modal.Client.from_credentials(sys.argv[1], sys.argv[2])
app = modal.App.lookup("tests", client=client)
argv = ["sh", "-c", "echo $WORD"]
modal.Sandbox.create(*argv, gpu="H100", env={"WORD": "kept"}, tags={"mark": "left"}, app=app, client=client)
"""


def test_one_that_waits_outlives_its_maker_and_the_daemon_with_its_secrets(own_engine: Engine) -> None:
    own_engine.hold_gpus(H100=1)
    token = (own_engine.endpoint.token_id, own_engine.endpoint.token_secret)
    environment = {**os.environ, "MODAL_SERVER_URL": own_engine.endpoint.url}
    with subprocess.Popen([sys.executable, "-c", ABANDONED, *token], env=environment) as maker:
        wait_until(lambda: own_engine.listed(mark="left"))
        maker.kill()  # else the SDK would terminate the sandbox when it misses the daemon
    (sandbox_id,) = own_engine.listed(mark="left")
    own_engine.kill()
    own_engine.start()
    assert own_engine.get(sandbox_id).stdout.read() == "kept\n"


def test_pretended_gpus_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for text, expected in {
        "8xH100": {"H100": 8},
        "8xh100, 1xA100-80GB": {"H100": 8, "A100-80GB": 1},
        "T4": {"T4": 1},
        "": {},
    }.items():
        monkeypatch.setenv("TREBUCHET_LOCAL_GPUS", text)
        assert machine.gpus() == expected
    for text in ("x", "8x", "eight H100", "0xH100;"):
        monkeypatch.setenv("TREBUCHET_LOCAL_GPUS", text)
        with pytest.raises(EmulatorError, match="cannot be read"):
            machine.gpus()
