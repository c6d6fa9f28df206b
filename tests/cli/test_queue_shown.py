"""Jobs that wait for this machine say so, and start by their priorities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("wants", "lacks"),
    [({"cpus": 2}, "1 of 1 CPU cores"), ({"accelerators": "H100:2", "cpus": 1}, "2 of 2 GPUs")],
)
@pytest.mark.usefixtures("own_home")
def test_up_and_status_say_what_a_job_waits_for_and_the_urgent_one_goes_first(
    trebuchet: Callable[..., Any],
    start: Callable[..., subprocess.Popen[str]],
    job_file: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    wants: dict[str, object],
    lacks: str,
) -> None:
    monkeypatch.setenv("TREBUCHET_LOCAL_CPUS", "1")
    monkeypatch.setenv("TREBUCHET_LOCAL_GPUS", "2xH100")
    wants = {"cloud": "local", "memory": "1", **wants}
    holder = trebuchet("up", job_file("sleep 600", resources=wants), "-d", "--json").json["key"]
    usual = start("up", job_file("sleep 600", resources=wants))
    assert any(f"waiting for {lacks}, 1st in the queue" in line for line in told(usual))
    follower = start("logs", "-f", trebuchet("status", "--state", "pending", "-q").out.strip())
    assert f"waiting for {lacks}, 1st in the queue" in next(told(follower))
    follower.kill()
    follower.wait()
    urgent = start("up", job_file("echo ran", resources={**wants, "priority": 10}))
    assert any(f"waiting for {lacks}, 1st in the queue" in line for line in told(urgent))
    assert f"waits for {lacks}, 2nd in the queue" in trebuchet("status").out
    trebuchet("cancel", holder)
    assert urgent.wait(timeout=60) == 0
    usual.kill()
    usual.wait()


def told(process: subprocess.Popen[str]) -> Any:
    assert process.stderr is not None
    return process.stderr
