"""Signals to commands that wait: they go at once, and leave what they should."""

from __future__ import annotations

import json
import signal
import time
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from support.engine import wait_until
from trebuchet.emulator.daemon import running
from trebuchet.engines.local import LocalEngine
from trebuchet.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ALL = pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
    ids=["Ctrl-C", "SIGTERM", "SIGHUP"],
)
SLOW_BUILD = json.dumps([{"call": "ImageGetOrCreate", "action": "delay", "seconds": 60}])


def _asked(trebuchet: Callable[..., Any]) -> bool:
    jobs = trebuchet("status", "--cached", "--json").json
    return any(
        event["kind"] == "asked" for job in jobs for event in trebuchet("events", job["key"], "--json").json
    )


@ALL
@pytest.mark.parametrize("detach", [(), ("-d",)], ids=["attached", "detached"])
def test_a_launch_that_waits_for_its_image_ends_at_once_and_leaves_nothing(
    trebuchet: Callable[..., Any],
    start: Callable[..., Any],
    job_file: Callable[..., str],
    own_home: Path,
    number: signal.Signals,
    code: int,
    detach: tuple[str, ...],
) -> None:
    process = start("up", job_file("sleep 600"), *detach, TREBUCHET_FAULTS=SLOW_BUILD)
    wait_until(lambda: _asked(trebuchet))
    sent = time.monotonic()
    process.send_signal(number)
    _, err = process.communicate(timeout=50)
    assert (process.returncode, "Traceback" in err) == (code, False), err
    assert time.monotonic() - sent < 40  # The build takes longer.
    assert "nothing is left behind" in err
    [job] = trebuchet("status", "--json").json
    assert job["state"] == "CANCELLED"
    assert LocalEngine(Settings(home=own_home)).find({}) == []


def ask_daemon(home: Path, method: str) -> dict[str, int]:
    """The calls that a home's engine counts, which `DELETE` makes it forget."""
    endpoint = running(home / "local")
    assert endpoint is not None
    token = {"Authorization": f"Bearer {endpoint.token_secret}"}
    request = urllib.request.Request(f"{endpoint.url}/_trebuchet/calls", headers=token, method=method)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
        return json.loads(answer.read() or "{}")


@ALL
def test_waiting_is_broken_off_and_the_jobs_go_on(
    trebuchet: Callable[..., Any],
    start: Callable[..., Any],
    job_file: Callable[..., str],
    home: Path,
    number: signal.Signals,
    code: int,
) -> None:
    key = trebuchet("up", job_file("sleep 600"), "-d", "--json").json["key"]
    ask_daemon(home, "DELETE")
    process = start("wait", key)
    wait_until(lambda: ask_daemon(home, "GET"))  # It has asked for the job's state: it waits.
    assert process.poll() is None
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert (process.returncode, "Traceback" in err) == (code, False)
    assert "the jobs go on" in err
    [job] = trebuchet("status", key, "--json").json
    assert job["state"] == "RUNNING"
    trebuchet("cancel", key)
