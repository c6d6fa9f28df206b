"""How long 100 launches take at 50 ms a call, next to plain creations one after another; and a big status.

    python bench/launch_many.py [JOBS]

Prints the launches' time as a ratio to that of a loop of `Sandbox.create`, and its own time for the
status of 1,000 known jobs of which 100 run.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

os.environ["TREBUCHET_FAULTS"] = '[{"call": "*", "action": "delay", "seconds": 0.05}]'
os.environ["TREBUCHET_KEEPER"] = "0"

import modal

from trebuchet import JobConfig, JobResources, Launcher
from trebuchet.emulator import daemon
from trebuchet.settings import Settings
from trebuchet.status import JobState

JOBS = int(sys.argv[1]) if len(sys.argv) > 1 else 100
SAMPLE = 10
KNOWN = 1_000
LIMIT = 1 / 20
STATUS_LIMIT_S = 1.0


def one_after_another(endpoint: daemon.Endpoint) -> float:
    """Seconds a creation takes in a loop, from a sample of it: all of them take alike."""
    os.environ["MODAL_SERVER_URL"] = endpoint.url
    client = modal.Client.from_credentials(endpoint.token_id, endpoint.token_secret)
    app = modal.App.lookup("plain", create_if_missing=True, client=client)
    image = modal.Image.debian_slim()
    modal.Sandbox.create("true", app=app, client=client, image=image).terminate()
    began = time.perf_counter()
    made = [modal.Sandbox.create("sleep", "600", app=app, client=client, image=image) for _ in range(SAMPLE)]
    took = (time.perf_counter() - began) / SAMPLE
    for sandbox in made:
        sandbox.terminate()
    return took


def at_once(launcher: Launcher) -> float:
    """Seconds for all launches."""
    job = JobConfig(name="bench", run="sleep 600", resources=JobResources(cloud="local"))
    began = time.perf_counter()
    results = launcher.up_many([job] * JOBS, "bench")
    took = time.perf_counter() - began
    failed = [result for result in results if isinstance(result, Exception)]
    assert not failed, failed[0]
    return took


def remember(launcher: Launcher) -> None:
    """Fill the ledger with jobs that ended long ago."""
    ledger = launcher.contexts.ledger
    pattern = ledger.jobs(limit=1)[0]
    candidates = ledger.recipe(pattern.key).candidates
    for number in range(KNOWN - JOBS):
        key = f"old{number}"
        current = replace(pattern.current, key=key, sandbox_id=f"sb-old-{number}", claim=None)
        job = replace(
            pattern,
            key=key,
            current=current,
            state=JobState.SUCCEEDED,
            exit_code=0,
            submit_time=1.0,
            end_at=2.0,
        )
        ledger.add(job, {}, candidates)


def own_time_of_status(launcher: Launcher) -> tuple[float, int]:
    """Seconds of this process's own time, and how many jobs were told."""
    launcher.status("local")
    began = time.process_time()
    statuses = launcher.status("local")["local"]
    return time.process_time() - began, len(statuses)


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        launcher = Launcher(Settings(home=Path(home)))
        endpoint = daemon.ensure(Path(home) / "local")
        try:
            single = one_after_another(endpoint)
            together = at_once(launcher)
            ratio = together / (single * JOBS)
            print(f"{JOBS} launches: {together:.2f} s; one after another: {single * JOBS:.2f} s")
            print(f"ratio {ratio:.4f} (at most {LIMIT})")
            remember(launcher)
            took, count = own_time_of_status(launcher)
            print(
                f"status of {count} jobs, {JOBS} running: {took:.2f} s of its own (at most {STATUS_LIMIT_S})"
            )
            launcher.down("local", "bench")
        finally:
            launcher.close()
            daemon.stop(Path(home) / "local")


if __name__ == "__main__":
    main()
