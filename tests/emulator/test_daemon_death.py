"""A daemon that is killed at any moment: what ran, what was being started and what is read go on."""

from __future__ import annotations

import json
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import modal

from support.engine import connect, wait_until
from support.sandboxes import supervisor_of
from trebuchet.emulator import daemon
from trebuchet.emulator.endpoint import daemon_lives
from trebuchet.emulator.process.errors import NotRunningError
from trebuchet.emulator.process.host import ProcessHost
from trebuchet.emulator.process.removal import remove_tree

if TYPE_CHECKING:
    from pathlib import Path

    from support.engine import Engine
    from trebuchet.emulator.process.spec import ProcessState


def test_its_death_costs_running_sandboxes_nothing(own_engine: Engine) -> None:
    script = "for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.3; done; exit 5"
    running = [own_engine.create("sh", "-c", script, tags={"n": str(number)}) for number in range(5)]
    own_engine.kill()
    own_engine.start()
    for number, sandbox in enumerate(running):
        again = own_engine.get(sandbox.object_id)
        assert again.get_tags() == {"n": str(number)}
        assert again.stdout.read() == "1\n2\n3\n4\n5\n6\n7\n8\n"
        again.wait()
        assert again.returncode == 5
        since = datetime.now(UTC) - timedelta(minutes=5)
        assert "".join(entry.message for entry in again.logs.fetch(since=since)) == "1\n2\n3\n4\n5\n6\n7\n8\n"


def test_what_ends_while_there_is_no_daemon_is_known_to_the_next(own_engine: Engine) -> None:
    volume = modal.Volume.from_name("tells", create_if_missing=True).hydrate(client=own_engine.client)
    script = "until test -e /tells/go; do sleep 0.05; done; echo late; exit 9"
    ends = own_engine.create("sh", "-c", script, volumes={"/tells": volume})
    times_out = own_engine.create("sleep", "60", timeout=5)
    terminated = own_engine.create("sleep", "60")
    terminated.terminate()
    wait_until(lambda: _has_begun(own_engine, ends.object_id) and _has_begun(own_engine, times_out.object_id))
    own_engine.kill()
    assert _has_begun(own_engine, ends.object_id)
    (own_engine.state / "volumes" / volume.object_id / "go").touch()
    wait_until(
        lambda: (
            _ended_in_trace(own_engine, ends.object_id) and _ended_in_trace(own_engine, times_out.object_id)
        )
    )
    own_engine.start()
    codes = []
    for sandbox in (ends, times_out, terminated):
        again = own_engine.get(sandbox.object_id)
        wait_until(lambda again=again: again.poll() is not None)
        codes.append(again.returncode)
    assert codes == [9, 124, 137]
    assert own_engine.get(ends.object_id).stdout.read() == "late\n"
    assert own_engine.listed() == []


def _has_begun(engine: Engine, sandbox_id: str) -> bool:
    with suppress(NotRunningError):  # it is answered for before it is started
        return _trace(engine, sandbox_id).phase == "running"
    return False


def _ended_in_trace(engine: Engine, sandbox_id: str) -> bool:
    return _trace(engine, sandbox_id).phase == "ended"


def _trace(engine: Engine, sandbox_id: str) -> ProcessState:
    return ProcessHost(engine.state).state(engine.state / "sandboxes" / sandbox_id / "process")


def test_what_was_answered_for_runs_though_the_daemon_dies_before_it_starts_it(own_engine: Engine) -> None:
    with ThreadPoolExecutor(30) as pool:
        making = [
            pool.submit(own_engine.create, "sh", "-c", 'echo "$WORD"', env={"WORD": f"word {number}"})
            for number in range(30)
        ]
        made = [each.result() for each in making]
    own_engine.kill()
    own_engine.start()
    for number, sandbox in enumerate(made):
        assert sandbox.stdout.read() == f"word {number}\n"
        sandbox.wait()
        assert sandbox.returncode == 0
    assert own_engine.listed() == []


def test_one_that_was_killed_while_it_handed_a_sandbox_over_has_it_started_by_the_next(
    own_engine: Engine,
) -> None:
    sandbox = own_engine.create("sh", "-c", 'echo "$WORD"; sleep 100', env={"WORD": "once"})
    assert next(iter(sandbox.stdout)) == "once\n"
    marker, folder = (
        own_engine.state / "alive" / sandbox.object_id,
        own_engine.state / "sandboxes" / sandbox.object_id,
    )
    own_engine.kill()
    os.kill(supervisor_of(folder / "process"), signal.SIGKILL)
    # Back to where a daemon stood that had claimed the folder, and had not yet sent the order.
    ask, *standings = (line for line in (folder / "journal").read_text().splitlines() if line)
    marker.write_text("\n".join([ask, json.dumps({"env": {"WORD": "again"}}), *standings]))
    for path in (folder / "process").iterdir():
        if path.name not in {"lock", "stdin"}:
            remove_tree(path) if path.is_dir() else path.unlink()
    own_engine.start()
    assert next(iter(own_engine.get(sandbox.object_id).stdout)) == "again\n"
    assert own_engine.listed() == [sandbox.object_id]


def test_one_whose_supervisor_was_killed_as_it_began_is_lost_and_not_begun_again(own_engine: Engine) -> None:
    sandbox = own_engine.create("sleep", "100")
    folder = own_engine.state / "sandboxes" / sandbox.object_id / "process"
    wait_until(lambda: _has_begun(own_engine, sandbox.object_id))
    own_engine.kill()
    os.kill(supervisor_of(folder), signal.SIGKILL)
    (folder / "running").unlink()  # it had made its socket, and nothing else
    own_engine.start()
    again = own_engine.get(sandbox.object_id)
    again.wait(raise_on_termination=False)
    assert again.returncode == 1
    assert own_engine.listed() == []


def test_what_cannot_be_removed_ends_no_daemon(tmp_path: Path) -> None:
    endpoint = daemon.ensure(tmp_path, idle_timeout_s=0.4)
    client = connect(endpoint)
    app = modal.App.lookup("tests", create_if_missing=True, client=client)
    sandbox = modal.Sandbox.create("sleep", "1000", app=app, client=client, image=modal.Image.debian_slim())
    for name in ("blobs", "secrets"):
        (tmp_path / name).rename(tmp_path / f"{name}-aside")
        (tmp_path / name).write_text("this is no folder")
    log = daemon.log_path(tmp_path)
    wait_until(lambda: log.read_text().count("old blobs are not all removed") >= 2)
    assert sandbox.poll() is None
    assert daemon.running(tmp_path) == endpoint
    sandbox.terminate()
    client.close()
    wait_until(lambda: not daemon_lives(tmp_path))  # it goes as usual when there is nothing to do


def test_a_reader_goes_on_after_its_death(own_engine: Engine) -> None:
    sandbox = own_engine.create("sh", "-c", "for i in 1 2 3 4 5 6; do echo $i; sleep 0.3; done")
    lines: list[str] = []
    reading = threading.Thread(target=lambda: lines.extend(sandbox.stdout), daemon=True)
    reading.start()
    wait_until(lambda: lines)
    own_engine.kill()
    own_engine.start()
    reading.join(20)
    assert lines == [f"{number}\n" for number in range(1, 7)]


def test_a_sandbox_whose_making_was_cut_short_is_not_believed_to_run(own_engine: Engine) -> None:
    sandbox = own_engine.create("sleep", "60", env={"A": "inline"})
    folder = own_engine.state / "sandboxes" / sandbox.object_id
    sandbox.terminate()
    sandbox.wait(raise_on_termination=False)
    own_engine.kill()
    # As a crash between the writing down and the start would have left it.
    lines = (folder / "journal").read_text().split("\n\n")
    (folder / "journal").write_text("\n\n".join(lines[:2]) + '\n{"tags": {"cut')
    (folder / "process").rename(folder / "elsewhere")
    (own_engine.state / "alive" / sandbox.object_id).touch()
    own_engine.start()
    assert own_engine.listed() == []
    again = own_engine.get(sandbox.object_id)
    assert again.returncode not in {None, 0}


def test_a_log_that_is_removed_while_it_is_read_holds_nobody_up(own_engine: Engine) -> None:
    sandbox = own_engine.create("sh", "-c", "seq 10000; sleep 0.1; seq 10000")
    sandbox.wait()
    since = datetime.now(UTC) - timedelta(minutes=5)
    assert list(sandbox.logs.fetch(since=since))  # so that the engine knows what was there
    [log] = (own_engine.state / "sandboxes" / sandbox.object_id / "process").glob("*log*")
    log.unlink()
    assert list(sandbox.logs.fetch(since=since)) == []
    assert own_engine.run("echo", "alive") == (0, "alive\n")
