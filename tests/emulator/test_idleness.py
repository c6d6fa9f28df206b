"""Idle timeouts: a sandbox that nobody uses ends, one that is used does not."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import modal
import pytest

from support.engine import DEADLINE_S
from trebuchet.engines.modal.observe import _private_status

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.engine import Engine

Used = TypeVar("Used")
IDLE_S = 1
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


def put_to_use(engine: Engine, *argv: str, use: Callable[[modal.Sandbox], Used], **options: Any) -> Used:
    """Use a sandbox before it counts as idle; on a machine that stands still meanwhile, another one."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        assert time.monotonic() < deadline, "none was used in time"
        sandbox = engine.create(*argv, idle_timeout=IDLE_S, **options)
        try:
            used = use(sandbox)
        except (modal.exception.Error, OSError, StopIteration):
            if sandbox.poll() is None:
                raise
            continue
        if sandbox.poll() is None:
            return used


def test_a_command_keeps_it_alive(engine: Engine) -> None:
    def begin(sandbox: modal.Sandbox) -> tuple[modal.Sandbox, float, Any]:
        return sandbox, time.monotonic(), sandbox.exec("sleep", str(IDLE_S * 2))

    sandbox, since, command = put_to_use(engine, "sleep", "60", use=begin)
    assert command.wait() == 0
    assert lifetime(sandbox, since) >= IDLE_S * 3
    assert _private_status(engine.get(sandbox.object_id)) == "IDLE_TIMEOUT"


def test_input_keeps_it_alive(engine: Engine) -> None:
    began = [time.monotonic()] * 2
    sandbox = engine.create("cat", idle_timeout=IDLE_S)
    with suppress(
        ValueError, modal.exception.Error
    ):  # it ends if the machine stands still between two of them
        while began[-1] - began[0] < IDLE_S * 2:
            before = time.monotonic()
            sandbox.stdin.write("still here\n")
            sandbox.stdin.drain()
            began.append(before)
            time.sleep(IDLE_S / 5)
    sandbox.wait()
    # The last may have come while it was being ended; the one before put that off.
    assert time.monotonic() - began[-2] >= IDLE_S
    assert _private_status(engine.get(sandbox.object_id)) == "IDLE_TIMEOUT"


def test_a_connection_to_a_tunnel_keeps_it_alive(engine: Engine) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = LISTENER.replace('("127.0.0.1", 0)', f'("127.0.0.1", {port})')

    def connect(sandbox: modal.Sandbox) -> tuple[modal.Sandbox, socket.socket]:
        assert next(iter(sandbox.stdout)) == f"{port}\n"
        return sandbox, socket.create_connection(sandbox.tunnels()[port].tcp_socket)

    sandbox, connection = put_to_use(engine, "python3", "-c", code, use=connect, unencrypted_ports=[port])
    with connection:
        until = time.monotonic() + IDLE_S * 2
        while time.monotonic() < until:
            assert sandbox.poll() is None
            time.sleep(0.05)
        since = time.monotonic()
    assert lifetime(sandbox, since) >= IDLE_S
    assert _private_status(engine.get(sandbox.object_id)) == "IDLE_TIMEOUT"


def test_its_own_work_does_not_count(engine: Engine) -> None:
    since = time.monotonic()
    sandbox = engine.create("sh", "-c", "while true; do echo busy; sleep 0.1; done", idle_timeout=1)
    assert lifetime(sandbox, since) < 20
