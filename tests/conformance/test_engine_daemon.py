"""The local engine's daemon may come and go; its address may change; nothing is lost and nothing hangs."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from trebuchet.emulator import daemon
from trebuchet.engines import engine_for
from trebuchet.engines.modal import SdkEngine
from trebuchet.engines.modal.access import Credentials, Pace
from trebuchet.errors import (
    AuthenticationError,
    ClusterUnreachableError,
    JobNotFoundError,
    UsageError,
)
from trebuchet.sandbox import SandboxSpec
from trebuchet.settings import Settings
from trebuchet.status import JobState

if TYPE_CHECKING:
    from conftest import Bench


def kill_daemon(bench: Bench) -> None:
    state = bench.settings.home / "local"
    endpoint = daemon.running(state)
    assert endpoint is not None
    os.kill(endpoint.pid, signal.SIGKILL)
    bench.until(lambda: daemon.running(state) is None, "the daemon is gone")


def test_a_follower_survives_the_daemons_death(own_bench: Bench) -> None:
    script = "for i in $(seq 60); do echo line $i; sleep 0.05; done"
    sandbox_id = own_bench.shell(script)
    received: list[str] = []
    follower = threading.Thread(
        target=lambda: received.extend(
            entry.message for entry in own_bench.engine.logs(sandbox_id, follow=True)
        )
    )
    follower.start()
    own_bench.until(lambda: len(received) > 5, "the first lines")
    kill_daemon(own_bench)
    follower.join(timeout=60)

    assert "".join(received) == "".join(f"line {i}\n" for i in range(1, 61))
    assert own_bench.wait(sandbox_id).exit_code == 0


def test_every_question_brings_a_dead_daemon_back(own_bench: Bench) -> None:
    engine = own_bench.engine
    sandbox_id = own_bench.shell("read go; exit 7", tags={"mark": "m"}, name="again")
    for ask in (
        lambda: engine.find({"mark": "m"}) == [sandbox_id],
        lambda: engine.find_by_name("again") == sandbox_id,
        lambda: engine.tags(sandbox_id)["mark"] == "m",
        lambda: engine.poll(sandbox_id).id == sandbox_id,
        lambda: engine.handle(sandbox_id).object_id == sandbox_id,
    ):
        kill_daemon(own_bench)
        assert ask()
    stdin = engine.handle(sandbox_id).stdin
    stdin.write("go\n")
    stdin.drain()
    kill_daemon(own_bench)
    assert own_bench.wait(sandbox_id).exit_code == 7


def test_creating_goes_on_after_a_restart(own_bench: Bench) -> None:
    own_bench.output("true")
    kill_daemon(own_bench)

    assert own_bench.output("echo again") == "again\n"


def _said(bench: Bench, sandbox_id: str) -> list[str]:
    return [entry.message for entry in bench.engine.logs(sandbox_id)]


def _processes(mark: str) -> list[int]:
    """The shells whose script holds a word."""
    found = list[int]()
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (entry / "comm").read_text() == "bash\n" and mark.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


def test_what_ended_while_no_daemon_lived_is_known(own_bench: Bench) -> None:
    mark = f"ends-when-told-{own_bench.mark}"
    script = f": {mark}; trap 'echo last words; exit 3' TERM; echo ready; while :; do sleep 0.05; done"
    sandbox_id = own_bench.shell(script)
    own_bench.until(lambda: "ready" in "".join(_said(own_bench, sandbox_id)), "its first word")
    kill_daemon(own_bench)
    for process in _processes(mark):
        os.kill(process, signal.SIGTERM)
    own_bench.until(lambda: not _processes(mark), "its end")
    assert daemon.running(own_bench.settings.home / "local") is None

    assert own_bench.wait(sandbox_id).exit_code == 3
    assert own_bench.text(sandbox_id) == "ready\nlast words\n"


def test_a_look_up_where_nothing_ever_was_starts_nothing(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    engine = engine_for("local", settings)

    assert engine.find({"a": "b"}) == []
    assert engine.find_by_name("name") is None
    assert engine.find_ended_by_name("name") is None
    engine.delete_secret("name")
    for ask in (engine.poll, engine.tags, engine.terminate):
        with pytest.raises(JobNotFoundError):
            ask("sb-0123456789abcdefghijkl")
    assert engine.identity().workspace == "local"
    assert engine.dashboard_url("sb-1") is None
    assert not settings.home.exists()


class _Elsewhere:
    """Access to an address that a test names."""

    cloud = "elsewhere"
    pace = Pace(interval_s=0.1, settle_s=0.0, patience_s=1.0)
    renewable = False

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def current(self) -> Credentials:
        return self._credentials

    known = current

    def identity(self) -> None:
        return None

    def dashboard_url(self, sandbox_id: str) -> None:
        del sandbox_id


def engine_at(url: str, tmp_path: Path, *, secret: str = "as-x") -> SdkEngine:
    credentials = Credentials(url, "ak-x", secret, "local")
    return SdkEngine(Settings(home=tmp_path / "elsewhere"), _Elsewhere(credentials))


def questions(engine: SdkEngine) -> list[object]:
    some_id = "sb-0123456789abcdefghijkl"
    return [
        lambda: engine.create(SandboxSpec(argv=("true",))),
        lambda: engine.find({"a": "b"}),
        lambda: engine.find_by_name("name"),
        lambda: engine.poll(some_id),
        lambda: engine.tags(some_id),
        lambda: engine.terminate(some_id),
        lambda: list(engine.logs(some_id)),
        lambda: engine.put_secret("name", {"A": "b"}),
        engine.identity,
    ]


def test_nobody_at_the_address_is_told_at_once(tmp_path: Path) -> None:
    with closing(socket.socket()) as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    for ask in questions(engine_at(url, tmp_path)):
        started = time.monotonic()
        with pytest.raises(ClusterUnreachableError) as caught:
            ask()  # pyright: ignore
        assert time.monotonic() - started < 5
        assert caught.value.hint


def test_an_address_that_swallows_everything_is_told_soon(tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(ClusterUnreachableError):
        engine_at("http://192.0.2.1:81,http://192.0.2.2:81", tmp_path).find({"a": "b"})

    assert time.monotonic() - started < 5


def test_a_control_plane_that_dies_in_between_is_told_at_once(own_bench: Bench, tmp_path: Path) -> None:
    own_bench.output("true")
    endpoint = daemon.running(own_bench.settings.home / "local")
    assert endpoint is not None
    access = _Elsewhere(Credentials(endpoint.url, endpoint.token_id, endpoint.token_secret, "local"))
    engine = SdkEngine(own_bench.settings, access)
    sandbox_id = own_bench.create("sleep", "30")
    assert engine.poll(sandbox_id).state is JobState.RUNNING
    kill_daemon(own_bench)
    followed = engine.logs

    for ask in (
        lambda: engine.poll(sandbox_id),
        lambda: engine.find({"a": "b"}),
        lambda: list(followed(sandbox_id)),
    ):
        started = time.monotonic()
        with pytest.raises(ClusterUnreachableError):
            ask()
        assert time.monotonic() - started < 5


def test_a_follower_says_when_the_control_plane_stays_away(own_bench: Bench) -> None:
    sandbox_id = own_bench.shell("echo first; sleep 30")
    endpoint = daemon.running(own_bench.settings.home / "local")
    assert endpoint is not None
    access = _Elsewhere(Credentials(endpoint.url, endpoint.token_id, endpoint.token_secret, "local"))
    entries = SdkEngine(own_bench.settings, access).logs(sandbox_id, follow=True)
    assert next(entries).message == "first\n"
    kill_daemon(own_bench)

    with pytest.raises(ClusterUnreachableError):
        list(entries)


def test_a_token_that_is_not_accepted_is_told_as_such(own_bench: Bench, tmp_path: Path) -> None:
    own_bench.output("true")
    endpoint = daemon.running(own_bench.settings.home / "local")
    assert endpoint is not None
    engine = engine_at(endpoint.url, tmp_path, secret="as-wrong")

    for ask in questions(engine):
        with pytest.raises(AuthenticationError) as caught:
            ask()  # pyright: ignore
        assert "as-wrong" not in str(caught.value)


def test_no_token_for_modal_is_told_before_anything_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MODAL_TOKEN_ID", "MODAL_TOKEN_SECRET", "MODAL_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    engine = engine_for("modal", Settings(home=tmp_path, profile=None))

    with pytest.raises(AuthenticationError) as caught:
        engine.create(SandboxSpec(argv=("true",)))
    assert "modal token new" in (caught.value.hint or "")


def test_a_profile_that_does_not_exist_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no-such-profile"):
        engine_for("modal", Settings(home=tmp_path, profile="no-such-profile")).find({"a": "b"})


def test_a_proxy_in_the_environment_does_not_come_between(
    own_bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "example.org")
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    assert own_bench.output("echo through") == "through\n"


@pytest.mark.parametrize("delay_s", [0.0, 0.002, 0.004, 0.008])
def test_the_engine_is_of_use_after_an_interrupt(own_bench: Bench, delay_s: float) -> None:
    own_bench.output("true")

    def create_for_ever() -> None:
        while True:
            own_bench.create("true", tags={"mark": "interrupted"})

    heard = threading.Event()

    def interrupt() -> None:
        pause = 0.05 + delay_s
        while not heard.wait(pause):
            os.kill(os.getpid(), signal.SIGINT)
            pause = 5.0  # The SDK drops one that comes just as a call has succeeded.

    interrupting = threading.Thread(target=interrupt)
    interrupting.start()
    with pytest.raises(KeyboardInterrupt):
        create_for_ever()
    heard.set()
    interrupting.join()

    assert own_bench.output("echo fine") == "fine\n"


def test_two_engines_live_in_one_process(own_bench: Bench, tmp_path: Path) -> None:
    other = Settings(home=tmp_path / "other")
    engine = engine_for("local", other)
    try:
        there = engine.create(SandboxSpec(argv=("sleep", "30"), tags={"mark": "t"}))
        here = own_bench.create("sleep", "30", tags={"mark": "t"})
        assert engine.find({"mark": "t"}) == [there]
        assert own_bench.engine.find({"mark": "t"}) == [here]
        assert "MODAL_SERVER_URL" not in os.environ
        engine.terminate(there)
    finally:
        engine.close()
        daemon.stop(other.home / "local")
