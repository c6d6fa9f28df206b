"""Idle timeouts: a sandbox that nobody uses ends, one that is used does not."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

import pytest

from trebuchet.engines.modal.observe import _private_status

if TYPE_CHECKING:
    import modal

    from support.engine import Engine

both_versions = pytest.mark.parametrize("options", [{}, {"gpu": "H100"}], ids=["v2", "v1"])
LISTENER = """
import socket, sys
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
held = [server.accept() for _ in range(9)]
"""


def lifetime(sandbox: modal.Sandbox, since: float) -> float:
    sandbox.wait()
    return time.monotonic() - since


@both_versions
def test_one_that_nobody_uses_ends(engine: Engine, options: dict[str, str]) -> None:
    since = time.monotonic()
    sandbox = engine.create("sleep", "60", idle_timeout=1, **options)
    assert 1 <= lifetime(sandbox, since) < 20
    assert sandbox.returncode == 137
    assert _private_status(engine.get(sandbox.object_id)) == "IDLE_TIMEOUT"


def test_a_command_keeps_it_alive(engine: Engine) -> None:
    sandbox = engine.create("sleep", "60", idle_timeout=3)
    since = time.monotonic()
    assert sandbox.exec("sleep", "4").wait() == 0
    assert lifetime(sandbox, since) >= 6.5


def test_input_keeps_it_alive(engine: Engine) -> None:
    sandbox = engine.create("cat", idle_timeout=4)
    since = time.monotonic()
    for _ in range(5):
        sandbox.stdin.write("still here\n")
        sandbox.stdin.drain()
        time.sleep(1)
    assert lifetime(sandbox, since) >= 7.5


def test_a_connection_to_a_tunnel_keeps_it_alive(engine: Engine) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = LISTENER.replace('("127.0.0.1", 0)', f'("127.0.0.1", {port})')
    sandbox = engine.create("python3", "-c", code, idle_timeout=4, unencrypted_ports=[port])
    assert next(iter(sandbox.stdout)) == f"{port}\n"
    host, tunnelled = sandbox.tunnels()[port].tcp_socket
    with socket.create_connection((host, tunnelled)):
        since = time.monotonic()
        time.sleep(5)
        assert sandbox.poll() is None
    assert lifetime(sandbox, since) >= 8.5


def test_its_own_work_does_not_count(engine: Engine) -> None:
    since = time.monotonic()
    sandbox = engine.create("sh", "-c", "while true; do echo busy; sleep 0.1; done", idle_timeout=1)
    assert lifetime(sandbox, since) < 20
