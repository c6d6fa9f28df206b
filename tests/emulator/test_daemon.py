"""The daemon: started by whoever needs it, and gone when there is nothing to do."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import modal
import pytest
from modal.exception import AuthError

from support.engine import connect, local_engine, wait_until
from support.sandboxes import supervisor_of
from trebuchet.emulator import daemon
from trebuchet.emulator.endpoint import (
    Endpoint,
    daemon_lives,
    endpoint_path,
    read_endpoint,
    read_or_make_token,
    try_daemon_lock,
    write_endpoint,
)
from trebuchet.emulator.errors import EmulatorError
from trebuchet.emulator.process.removal import remove_tree

if TYPE_CHECKING:
    from pathlib import Path

    from support.engine import Engine


def test_two_that_start_it_at_once_get_the_same_one(tmp_path: Path) -> None:
    ensure = "print(daemon.ensure(pathlib.Path(sys.argv[1])).pid)"
    script = f"import sys, pathlib; from trebuchet.emulator import daemon; {ensure}"
    command = [sys.executable, "-c", script, str(tmp_path)]
    try:
        starting = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
        pids = {process.communicate(timeout=60)[0].strip() for process in starting}
        assert len(pids) == 1
        endpoint = daemon.running(tmp_path)
        assert endpoint is not None
        assert {str(endpoint.pid)} == pids
    finally:
        daemon.stop(tmp_path)


def test_stopping_it_leaves_nothing_but_its_state(tmp_path: Path) -> None:
    assert daemon.running(tmp_path) is None
    assert not daemon.stop(tmp_path)
    daemon.ensure(tmp_path)
    assert daemon.stop(tmp_path)
    assert daemon.running(tmp_path) is None
    assert not endpoint_path(tmp_path).exists()


def test_it_leaves_when_there_is_nothing_to_do(tmp_path: Path) -> None:
    daemon.ensure(tmp_path, idle_timeout_s=0.5)
    wait_until(lambda: not daemon_lives(tmp_path))


def test_it_stays_while_a_sandbox_lives(tmp_path: Path) -> None:
    daemon.ensure(tmp_path, idle_timeout_s=4)  # not so soon that a slow machine needs a second one below
    with local_engine(tmp_path) as engine:
        sandbox = engine.create("sleep", "6")
        pid = engine.endpoint.pid
        wait_until(lambda: not any((tmp_path / "alive").iterdir()))
        assert daemon_lives(tmp_path)
        assert engine.endpoint.pid == pid
        assert sandbox.object_id
        wait_until(lambda: not daemon_lives(tmp_path))


def test_it_keeps_its_port_and_token(own_engine: Engine) -> None:
    before = own_engine.endpoint
    own_engine.kill()
    own_engine.start()
    after = own_engine.endpoint
    assert (after.url, after.token_id, after.token_secret) == (
        before.url,
        before.token_id,
        before.token_secret,
    )
    assert after.pid != before.pid


def test_it_takes_another_port_where_its_own_is_taken(tmp_path: Path) -> None:
    first = daemon.ensure(tmp_path)
    daemon.stop(tmp_path)
    with socket.create_server(("127.0.0.1", int(first.url.rpartition(":")[2]))):
        second = daemon.ensure(tmp_path)
        assert second.url != first.url
        assert daemon.ensure(tmp_path) == second
    daemon.stop(tmp_path)


def test_what_a_dead_one_left_is_not_believed(tmp_path: Path) -> None:
    endpoint = daemon.ensure(tmp_path)
    os.kill(endpoint.pid, signal.SIGKILL)
    wait_until(lambda: not daemon_lives(tmp_path))
    assert endpoint_path(tmp_path).exists()
    assert daemon.running(tmp_path) is None
    assert daemon.ensure(tmp_path).pid != endpoint.pid
    daemon.stop(tmp_path)


def test_no_process_is_ended_that_has_got_the_number_of_a_dead_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon, "STOP_TIMEOUT_S", 0.2)
    innocent = subprocess.Popen(["sleep", "1000"])
    lock = try_daemon_lock(tmp_path)  # as a daemon that is coming
    assert lock is not None
    try:
        write_endpoint(
            tmp_path, Endpoint(url="http://127.0.0.1:9", token_id="", token_secret="", pid=innocent.pid)
        )
        assert not daemon.stop(tmp_path)
        assert innocent.poll() is None
    finally:
        os.close(lock)
        innocent.kill()
        innocent.wait()


def test_what_a_dead_one_told_is_gone_before_another_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = daemon.ensure(tmp_path)
    os.kill(endpoint.pid, signal.SIGKILL)
    wait_until(lambda: not daemon_lives(tmp_path))
    monkeypatch.setenv("TREBUCHET_LOCAL_GPUS", "eight")
    with pytest.raises(EmulatorError):
        daemon.ensure(tmp_path)  # it takes the lock, and comes no further
    assert not endpoint_path(tmp_path).exists()


def test_one_with_older_code_is_replaced(tmp_path: Path) -> None:
    first = daemon.ensure(tmp_path)
    told = read_endpoint(tmp_path)
    assert told is not None
    write_endpoint(tmp_path, daemon.Endpoint(**{**vars(told), "code": "older", "code_time_ns": 1}))
    second = daemon.ensure(tmp_path)
    assert second.pid != first.pid
    assert daemon.ensure(tmp_path) == second
    daemon.stop(tmp_path)


def test_one_told_of_other_gpus_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = daemon.ensure(tmp_path)
    monkeypatch.setenv("TREBUCHET_LOCAL_GPUS", "8xH100")
    second = daemon.ensure(tmp_path)
    assert second.pid != first.pid
    monkeypatch.delenv("TREBUCHET_LOCAL_GPUS")
    assert daemon.ensure(tmp_path) == second
    daemon.stop(tmp_path)


def test_a_failed_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TREBUCHET_LOCAL_GPUS", "eight")
    with pytest.raises(EmulatorError, match="TREBUCHET_LOCAL_GPUS cannot be read") as caught:
        daemon.ensure(tmp_path)
    assert str(daemon.log_path(tmp_path)) in caught.value.hint


def test_its_files_are_the_users_alone(engine: Engine) -> None:
    assert stat.S_IMODE(engine.state.stat().st_mode) == 0o700
    for name in ("token.json", "endpoint.json", "daemon.log"):
        assert stat.S_IMODE((engine.state / name).stat().st_mode) == 0o600
    assert engine.endpoint.token_secret not in repr(engine.endpoint)


def test_it_answers_only_those_who_present_its_token(engine: Engine) -> None:
    real = engine.endpoint
    for token_id, token_secret in (
        ("ak-wrong", real.token_secret),
        (real.token_id, "as-wrong"),
        ("ak-x", "as-x"),
    ):
        other = daemon.Endpoint(url=real.url, token_id=token_id, token_secret=token_secret, pid=real.pid)
        with pytest.raises(AuthError), connect(other) as client:
            modal.App.lookup("tests", client=client)


@pytest.mark.parametrize(
    "path",
    [
        "/_trebuchet/calls",
        "/_trebuchet/health",
        "/blob/guess",
        "/block/a.b",
        "/file/W10.AAAA",
        "/",
        "/../token.json",
    ],
)
def test_its_pages_open_to_nobody_else(engine: Engine, path: str) -> None:
    connection = http.client.HTTPConnection(engine.endpoint.url.removeprefix("http://"), timeout=10)
    for method in ("GET", "PUT", "DELETE"):
        connection.request(method, path, headers={"Authorization": "Bearer as-wrong"})
        response = connection.getresponse()
        assert response.status in {401, 404, 405}
        response.read()
    connection.close()


def test_it_listens_on_loopback_alone(engine: Engine) -> None:
    assert engine.endpoint.url.startswith("http://127.0.0.1:")
    port = int(engine.endpoint.url.rpartition(":")[2])
    for address in _own_addresses():
        with (
            pytest.raises((ConnectionError, TimeoutError)),
            socket.create_connection((address, port), timeout=2),
        ):
            pass


def _own_addresses() -> set[str]:
    found = {str(info[4][0]) for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    return {address for address in found if not address.startswith("127.")}


def test_importing_the_starter_is_light() -> None:
    heavy = ("grpclib", "aiohttp", "asyncio", "modal", "google")
    script = f"import sys, trebuchet.emulator.daemon; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_one_that_does_not_answer_is_an_error_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = daemon.ensure(tmp_path)
    monkeypatch.setattr(daemon, "ANSWER_TIMEOUT_S", 0.5)
    monkeypatch.setattr(daemon, "GOING_TIMEOUT_S", 0.5)
    os.kill(endpoint.pid, signal.SIGSTOP)
    try:
        with pytest.raises(EmulatorError, match="does not answer"):
            daemon.ensure(tmp_path)
    finally:
        os.kill(endpoint.pid, signal.SIGCONT)
        daemon.stop(tmp_path)


def test_it_serves_in_the_foreground_and_says_how_to_reach_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "trebuchet", "local", "serve", "--state", str(tmp_path / "state")]
    serving = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert serving.stdout is not None
        lines = [serving.stdout.readline().split() for _ in range(4)]
        told = dict(words[1].split("=", 1) for words in lines)
        assert list(told) == ["MODAL_SERVER_URL", "MODAL_TOKEN_ID", "MODAL_TOKEN_SECRET", "MODAL_ENVIRONMENT"]
        script = "import modal; print(modal.App.lookup('any', create_if_missing=True).app_id)"
        program = [sys.executable, "-c", script]
        answer = subprocess.run(
            program, env=os.environ | told, capture_output=True, text=True, timeout=60, check=True
        )
        assert answer.stdout.startswith("ap-")
        second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert second.returncode != 0
        assert "already serves" in second.stderr
    finally:
        serving.send_signal(signal.SIGINT)
        assert serving.wait(30) == 0
        serving.stdout.close()  # pyright: ignore[reportOptionalMemberAccess] - a pipe was asked for


@pytest.mark.parametrize("damage", ["{", "[]", '{"id": "ak-1"}', ""])
def test_a_damaged_token_file_is_made_anew(tmp_path: Path, damage: str) -> None:
    (tmp_path / "token.json").write_text(damage)
    made = read_or_make_token(tmp_path)
    assert all(len(word) > 20 for word in made)
    assert read_or_make_token(tmp_path) == made
    assert (tmp_path / "token.json").stat().st_mode & 0o777 == 0o600


def test_a_state_that_is_removed_takes_all_that_runs_there_with_it(tmp_path: Path) -> None:
    state = tmp_path / "state"
    endpoint = daemon.ensure(state, idle_timeout_s=2)
    client = connect(endpoint)
    app = modal.App.lookup("tests", create_if_missing=True, client=client)
    image = modal.Image.debian_slim()
    script = "echo begun; sleep 600"
    sandbox = modal.Sandbox.create("sh", "-c", script, app=app, image=image, client=client)
    assert next(iter(sandbox.stdout)) == "begun\n"
    supervisor = supervisor_of(state / "sandboxes" / sandbox.object_id / "process")
    client.close()
    clear_away(state)
    wait_until(lambda: not lives(supervisor))
    wait_until(lambda: not lives(endpoint.pid))


def clear_away(state: Path) -> None:
    away = state.rename(state.with_name("away"))  # so that nothing is put into it meanwhile
    remove_tree(away)


def lives(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}/exe")  # noqa: PTH110 - to know whether it is there, no path is needed


def test_one_whose_state_was_removed_leaves_its_successors_alone(tmp_path: Path) -> None:
    state = tmp_path / "state"
    before = daemon.ensure(state, idle_timeout_s=2)
    clear_away(state)
    after = daemon.ensure(state, idle_timeout_s=60)
    wait_until(lambda: not lives(before.pid))
    assert daemon.running(state) == after
    daemon.stop(state)
