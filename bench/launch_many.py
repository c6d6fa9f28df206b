"""How long 100 launches take at 50 ms a call, next to plain creations one after another; and a big status.

    python bench/launch_many.py [JOBS]

Prints the launches' time as a ratio to that of a loop of `Sandbox.create`, and its own time for the
status of 1,000 known jobs of which 100 run, with the calls that it, and a reconcile, cost.

Both sides have their client, app and image at hand; the first launch of a process, which has to look for
them, is printed beside. The jobs differ in a variable, as those of a sweep do.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
import urllib.request
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
ROUNDS = 3
SAMPLE = 10
KNOWN = 1_000
GONE = 5
LIMIT = 1 / 20
STATUS_LIMIT_S = 1.0


def one_after_another(endpoint: daemon.Endpoint, state: Path) -> float:
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
        sandbox.wait(raise_on_termination=False)
    rest(state)
    return took


def at_once(launcher: Launcher, count: int) -> float:
    """Seconds for so many launches."""
    resources = JobResources(cloud="local")
    jobs = [
        JobConfig(name="bench", run="sleep 600", envs={"SEED": str(seed)}, resources=resources)
        for seed in range(count)
    ]
    began = time.perf_counter()
    results = launcher.up_many(jobs, "bench")
    took = time.perf_counter() - began
    failed = [result for result in results if isinstance(result, Exception)]
    assert not failed, failed[0]
    return took


def rest(state: Path) -> None:
    """Wait until what those that were ended wrote is removed: it is no part of the next round."""
    deadline = time.monotonic() + 60
    while any(state.glob("sandboxes/*/process/root")) and time.monotonic() < deadline:
        time.sleep(0.1)


def remember(launcher: Launcher) -> None:
    """Fill the ledger with jobs that ended long ago."""
    ledger = launcher.contexts.ledger
    pattern = ledger.jobs(limit=1)[0]
    candidates = ledger.recipe(pattern.key).candidates
    for number in range(KNOWN - len(ledger.jobs())):
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


def calls(endpoint: daemon.Endpoint, method: str) -> dict[str, int]:
    """How often each call was made; with `DELETE` the count begins anew."""
    token = {"Authorization": f"Bearer {endpoint.token_secret}"}
    request = urllib.request.Request(f"{endpoint.url}/_trebuchet/calls", method=method, headers=token)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read() or b"{}")


def show_calls(launcher: Launcher, endpoint: daemon.Endpoint) -> None:
    running = [job for job in launcher.contexts.ledger.jobs(unfinished=True) if job.sandbox_id is not None]
    for title, act in (("status", lambda: launcher.status("local")), ("reconcile", launcher.reconcile)):
        calls(endpoint, "DELETE")
        act()
        print(f"{title} with nothing new, {len(running)} running: {calls(endpoint, 'GET')}")
    for job in running[:GONE]:
        modal_side = launcher.client("local").get_call(job.sandbox_id or "")
        modal_side.terminate()
        modal_side.wait(raise_on_termination=False)
    calls(endpoint, "DELETE")
    launcher.status("local")
    print(f"status with {GONE} that have just left the list: {calls(endpoint, 'GET')}")


def main() -> None:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        launcher = Launcher(Settings(home=Path(home)))
        endpoint = daemon.ensure(Path(home) / "local")
        try:
            single = one_after_another(endpoint, Path(home) / "local")
            print(
                f"first launch of a process: {at_once(launcher, 1):.2f} s; one plain creation: {single:.3f} s"
            )
            for turn in range(1, ROUNDS + 1):
                together = at_once(launcher, JOBS)
                ratio = together / (single * JOBS)
                print(
                    f"{JOBS} launches: {together:.2f} s; one after another: {single * JOBS:.2f} s", end="; "
                )
                print(f"ratio {ratio:.4f} (at most {LIMIT})")
                if turn < ROUNDS:
                    launcher.down("local", "bench")
                    rest(Path(home) / "local")
            remember(launcher)
            took, count = own_time_of_status(launcher)
            print(f"status of {count} jobs: {took:.2f} s of its own (at most {STATUS_LIMIT_S})")
            show_calls(launcher, endpoint)
            launcher.down("local", "bench")
        finally:
            launcher.close()
            daemon.stop(Path(home) / "local")


if __name__ == "__main__":
    main()
