"""Readiness probes: when a sandbox counts as ready, and what comes instead."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import modal
import pytest
from modal.exception import ConflictError, InvalidError
from modal.exception import TimeoutError as SdkTimeoutError

from support.engine import wait_until

if TYPE_CHECKING:
    from support.engine import Engine

both_versions = pytest.mark.parametrize("options", [{}, {"gpu": "H100"}], ids=["v2", "v1"])
LISTENER = (
    "import socket, sys, time; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); time.sleep(60)"
)


def free_port() -> int:
    """A port that nothing has now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@both_versions
def test_a_command_tells_when_it_is_ready(engine: Engine, options: dict[str, str]) -> None:
    probe = modal.Probe.with_exec("test", "-f", "/tmp/ready", interval_ms=20)
    sandbox = engine.create(
        "sh", "-c", "read go; touch /tmp/ready; sleep 60", readiness_probe=probe, **options
    )
    with pytest.raises(SdkTimeoutError):
        sandbox.wait_until_ready(timeout=1)
    sandbox.stdin.write("go\n")
    sandbox.stdin.drain()
    sandbox.wait_until_ready(timeout=20)
    sandbox.exec("rm", "/tmp/ready").wait()
    engine.get(sandbox.object_id).wait_until_ready(timeout=20)  # once ready, it stays so
    sandbox.terminate()


def test_a_port_tells_when_it_is_ready(engine: Engine) -> None:
    port = free_port()
    sandbox = engine.create(
        "python3", "-c", LISTENER, str(port), readiness_probe=modal.Probe.with_tcp(port, interval_ms=20)
    )
    sandbox.wait_until_ready(timeout=20)
    socket.create_connection(("127.0.0.1", port)).close()
    sandbox.terminate()


@both_versions
def test_a_port_that_another_process_holds_makes_nobody_ready(
    engine: Engine, options: dict[str, str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        probe = modal.Probe.with_tcp(port, interval_ms=20)
        sandbox = engine.create("sleep", "60", readiness_probe=probe, **options)
        with pytest.raises(SdkTimeoutError):
            sandbox.wait_until_ready(timeout=2)
    sandbox.exec("python3", "-c", LISTENER, str(port))  # what entered it later counts as its own
    sandbox.wait_until_ready(timeout=20)
    sandbox.terminate()


def test_one_that_ends_before_is_a_conflict(engine: Engine) -> None:
    sandbox = engine.create("sh", "-c", "exit 3", readiness_probe=modal.Probe.with_exec("false"))
    with pytest.raises(ConflictError, match="ended before"):
        sandbox.wait_until_ready(timeout=20)


def test_one_without_a_probe_cannot_be_waited_for(engine: Engine) -> None:
    sandbox = engine.create("sleep", "60")
    with pytest.raises(InvalidError, match="without a readiness probe"):
        sandbox.wait_until_ready(timeout=20)
    sandbox.terminate()


def test_probes_leave_nothing_behind(engine: Engine) -> None:
    sandbox = engine.create("sleep", "60", readiness_probe=modal.Probe.with_exec("false", interval_ms=1))
    folder = engine.state / "sandboxes" / sandbox.object_id / "process" / "execs"
    wait_until(folder.is_dir)
    with pytest.raises(SdkTimeoutError):
        sandbox.wait_until_ready(timeout=1)
    assert len(list(folder.iterdir())) <= 1
    sandbox.terminate()


def test_readiness_outlives_a_daemon(own_engine: Engine) -> None:
    probe = modal.Probe.with_exec("test", "-f", "/tmp/ready", interval_ms=20)
    late, early = (
        own_engine.create("sh", "-c", f"{first}; sleep 60", readiness_probe=probe)
        for first in ("true", "touch /tmp/ready")
    )
    early.wait_until_ready(timeout=20)
    early.exec("rm", "/tmp/ready").wait()
    own_engine.kill()
    own_engine.start()
    own_engine.get(early.object_id).wait_until_ready(timeout=20)
    late = own_engine.get(late.object_id)
    late.exec("touch", "/tmp/ready").wait()
    late.wait_until_ready(timeout=20)
