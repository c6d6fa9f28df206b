"""Starting, finding and stopping the engine's daemon. Light to import: no gRPC, no event loop."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, cast

from trebuchet.emulator.disk import make_private_folder
from trebuchet.emulator.endpoint import (
    Endpoint,
    code_in_use,
    daemon_lives,
    exclusive_lock,
    lock_path,
    log_path,
    read_endpoint,
)
from trebuchet.emulator.errors import EmulatorError
from trebuchet.emulator.holder import holds, send

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Endpoint", "ensure", "log_path", "reclaim", "reclaimable", "running", "stop", "waiting"]

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0
GOING_TIMEOUT_S = 2.0
ANSWER_TIMEOUT_S = 5.0
RECLAIM_TIMEOUT_S = 600.0


def running(state: Path) -> Endpoint | None:
    """The endpoint of the daemon that lives on this state directory, or None. Asks the file system alone."""
    if not daemon_lives(state):
        return None
    endpoint = read_endpoint(state)
    # A daemon that is just starting holds the lock, and the endpoint may still be that of a dead one.
    return endpoint if endpoint is not None and _pid_lives(endpoint.pid) else None


def ensure(state: Path, *, idle_timeout_s: float | None = None) -> Endpoint:
    """The endpoint of a daemon that answers, started if need be; two callers at once start one.

    A daemon that runs older code than the caller's, or that was told of other GPUs by `TREBUCHET_LOCAL_GPUS`
    than the caller is, is replaced; its sandboxes run on.

    Args:
        state: The state directory, made if missing.
        idle_timeout_s: How long a daemon started here stays without anything to do; None for its own choice.

    Raises:
        EmulatorError: None could be started, or the one that runs does not answer.
    """
    endpoint = running(state)
    if endpoint is not None and not _outdated(endpoint) and _answers(endpoint):
        return endpoint
    make_private_folder(state)
    with exclusive_lock(state / "start.lock"):
        endpoint = _settled(state)
        if endpoint is not None and _outdated(endpoint):
            stop(state)
        elif endpoint is not None and _answers(endpoint):
            return endpoint
        # One that was killed just now holds its lock until the kernel has taken it down.
        if daemon_lives(state) and not _wait_until_gone(state, GOING_TIMEOUT_S):
            raise EmulatorError(
                "The local engine's daemon is there but does not answer.",
                f"`trebuchet local stop` ends it; sandboxes run on. Its log is {log_path(state)}.",
            )
        return _start(state, idle_timeout_s)


def stop(state: Path) -> bool:
    """End the daemon; its sandboxes run on. Whether there was one.

    Raises:
        EmulatorError: It does not go.
    """
    endpoint = _settled(state)
    if endpoint is None:
        return False
    for ending in (signal.SIGTERM, signal.SIGKILL):
        send(lock_path(state), endpoint.pid, ending)
        if _wait_until_gone(state):
            return True
    raise EmulatorError(
        f"The local engine's daemon (process {endpoint.pid}) does not end.",
        f"See {log_path(state)}, or end the process yourself.",
    )


def _outdated(endpoint: Endpoint) -> bool:
    code, code_time_ns = code_in_use()
    declared = os.environ.get("TREBUCHET_LOCAL_GPUS")
    if declared is not None and declared != endpoint.gpus:
        return True
    return endpoint.code != code and endpoint.code_time_ns <= code_time_ns


def _pid_lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def waiting(endpoint: Endpoint) -> dict[str, str]:
    """What each sandbox not yet started waits for, by its id and its name; nothing if it cannot be asked."""
    try:
        return cast("dict[str, str]", _ask(endpoint, "GET", "waiting", ANSWER_TIMEOUT_S))
    except EmulatorError:
        return {}


def reclaimable(endpoint: Endpoint, *, older_than_s: float, volumes: bool) -> list[dict[str, object]]:
    """What of the disk can be had back. Each has `kind`, `id`, `size` in bytes and `why`.

    Raises:
        EmulatorError: The daemon cannot be asked, or could not do it.
    """
    return _ask_reclaimable(endpoint, "GET", older_than_s, volumes)


def reclaim(endpoint: Endpoint, *, older_than_s: float, volumes: bool) -> list[dict[str, object]]:
    """Remove what `reclaimable` tells; what went.

    Raises:
        EmulatorError: The daemon cannot be asked, or could not do it.
    """
    return _ask_reclaimable(endpoint, "DELETE", older_than_s, volumes)


def _ask_reclaimable(
    endpoint: Endpoint, method: str, older_than_s: float, volumes: bool
) -> list[dict[str, object]]:
    what = f"reclaimable?older_than_s={older_than_s}&volumes={int(volumes)}"
    return cast("list[dict[str, object]]", _ask(endpoint, method, what, RECLAIM_TIMEOUT_S))


def _ask(endpoint: Endpoint, method: str, what: str, timeout_s: float) -> object:
    import http.client  # noqa: PLC0415 - heavy, and for this alone

    connection = http.client.HTTPConnection(endpoint.url.removeprefix("http://"), timeout=timeout_s)
    try:
        token = {"Authorization": f"Bearer {endpoint.token_secret}"}
        connection.request(method, f"/_trebuchet/{what}", headers=token)
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != http.client.OK:
            raise EmulatorError(f"The local engine's daemon answered: {answer.status} {answer.reason}.")
        return json.loads(content)
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise EmulatorError(f"The local engine's daemon does not answer: {error}.") from error
    finally:
        connection.close()


def _answers(endpoint: Endpoint) -> bool:
    """Whether it answers a plain request, which also puts off its leaving for want of work."""
    host, _, port = endpoint.url.removeprefix("http://").partition(":")
    request = (
        f"GET /_trebuchet/health HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n"
        f"Authorization: Bearer {endpoint.token_secret}\r\n\r\n"
    )
    try:
        with socket.create_connection((host, int(port)), timeout=ANSWER_TIMEOUT_S) as connection:
            connection.sendall(request.encode())
            return connection.recv(64).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def _settled(state: Path) -> Endpoint | None:
    """As `running`, though a daemon that is coming or going is given the time to do so.

    One that is coming may not have removed yet what a dead one told, whose number another process may have.
    """
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while True:
        endpoint = running(state)
        if endpoint is not None and holds(lock_path(state), endpoint.pid):
            return endpoint
        if not daemon_lives(state) or time.monotonic() >= deadline:
            return None
        time.sleep(0.005)


def _wait_until_gone(state: Path, timeout_s: float = STOP_TIMEOUT_S) -> bool:
    deadline = time.monotonic() + timeout_s
    while daemon_lives(state):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def _start(state: Path, idle_timeout_s: float | None) -> Endpoint:
    ready, told = os.pipe()
    try:
        _launch(state, idle_timeout_s, told)
    except OSError as error:
        os.close(ready)
        raise EmulatorError(f"The local engine's daemon could not be started: {error}.") from error
    finally:
        os.close(told)
    try:
        waiting = select.poll()
        waiting.register(ready, select.POLLIN)
        said = os.read(ready, 16) if waiting.poll(START_TIMEOUT_S * 1000) else b""
    finally:
        os.close(ready)
    endpoint = running(state) if said else None
    if endpoint is None:
        raise _failed_start(state)
    return endpoint


def _launch(state: Path, idle_timeout_s: float | None, told: int) -> None:
    """Start the daemon's process, which detaches itself: no child of ours is left to be waited for."""
    command = [sys.executable, "-m", "trebuchet.emulator", "--state", str(state), "--ready-fd", str(told)]
    if idle_timeout_s is not None:
        command += ["--idle-timeout", str(idle_timeout_s)]
    descriptor = os.open(log_path(state), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "ab") as log:
        subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", pass_fds=(told,), check=False
        )


def _failed_start(state: Path) -> EmulatorError:
    lines = log_path(state).read_text(errors="replace").strip().splitlines()
    reason = f": {lines[-1].rstrip('.')}" if lines else ""
    return EmulatorError(
        f"The local engine's daemon did not start{reason}.",
        f"Its log is {log_path(state)}; `trebuchet doctor` looks closer.",
    )
