"""Tunnels: the ports of a sandbox, as its caller reaches them."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import modal
import pytest
from modal.exception import ConflictError, InvalidError, SandboxTimeoutError

from support.engine import local_engine, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from support.engine import Engine

SERVER = """
import socket, sys
while True:
    connection, _ = server.accept()
    connection.sendall(connection.recv(100).upper())
    connection.close()
"""
both_versions = pytest.mark.parametrize("options", [{}, {"gpu": "H100"}], ids=["v2", "v1"])


def free_port() -> int:
    """A port that nothing has now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@both_versions
def test_a_port_is_reached_through_its_tunnel(engine: Engine, options: dict[str, str]) -> None:
    port = free_port()
    server = f"import socket; server = socket.create_server(('127.0.0.1', {port}))\n{SERVER}"
    sandbox = engine.create(
        "python3",
        "-c",
        server,
        unencrypted_ports=[port],
        readiness_probe=modal.Probe.with_tcp(port),
        **options,
    )
    sandbox.wait_until_ready(timeout=30)
    with socket.create_connection(sandbox.tunnels()[port].tcp_socket, timeout=20) as connection:
        connection.sendall(b"hello")
        assert connection.recv(100) == b"HELLO"
    assert list(engine.get(sandbox.object_id).tunnels()) == [port]
    sandbox.terminate()


@both_versions
def test_an_encrypted_port_has_no_address_for_those_who_want_none(
    engine: Engine, options: dict[str, str]
) -> None:
    encrypted, plain = free_port(), free_port()
    sandbox = engine.create("sleep", "60", encrypted_ports=[encrypted], unencrypted_ports=[plain], **options)
    tunnels = sandbox.tunnels()
    assert tunnels[encrypted].tls_socket == ("127.0.0.1", encrypted)
    with pytest.raises(InvalidError, match="not configured for unencrypted"):
        _ = tunnels[encrypted].tcp_socket
    assert tunnels[plain].tcp_socket == ("127.0.0.1", plain)
    sandbox.terminate()


@both_versions
def test_one_without_ports_has_no_tunnels(engine: Engine, options: dict[str, str]) -> None:
    sandbox = engine.create("sleep", "60", **options)
    assert sandbox.tunnels() == {}
    sandbox.terminate()


@both_versions
def test_a_tunnel_does_not_lead_to_another(engine: Engine, options: dict[str, str]) -> None:
    port = free_port()
    server = f"import socket; server = socket.create_server(('127.0.0.1', {port}))\n{SERVER}"
    ports = {"unencrypted_ports": [port], **options}
    holder = engine.create("sleep", "60", **ports)
    other = engine.create("sleep", "60", **(ports | {"gpu": "A100-80GB"} if options else ports))
    with pytest.raises(ConflictError, match=holder.object_id):
        other.tunnels()  # the older one is to have it
    serving = other.exec("python3", "-c", server)
    wait_until(lambda: _listens(port))
    assert list(other.tunnels()) == [port]
    with pytest.raises(ConflictError, match=f"{port}.* is held by sandbox {other.object_id}"):
        holder.tunnels()
    assert serving.poll() is None
    other.terminate(wait=True)
    assert list(holder.tunnels()) == [port]
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(ConflictError, match="another process of this machine"),
    ):
        engine.get(holder.object_id).tunnels()
    holder.terminate()


def _listens(port: int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


def test_one_that_waits_to_be_started_has_none_in_time(tmp_path: Path) -> None:
    with local_engine(tmp_path / "state", env={"TREBUCHET_LOCAL_CPUS": "1"}) as engine:
        engine.create("sleep", "60", cpu=1.0)
        waiting = engine.create("sleep", "60", cpu=1.0, encrypted_ports=[8000])
        with pytest.raises(SandboxTimeoutError):
            waiting.tunnels(timeout=1)
