"""Jobs from the command line, on a real engine."""

from __future__ import annotations

import json
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from trebuchet.engines.local import LocalEngine
from trebuchet.launcher import Launcher
from trebuchet.settings import Settings

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def sleeper(trebuchet: Callable[..., Any], job_file: Callable[..., str], cluster: str) -> dict[str, Any]:
    """A job that would run for ten minutes, under this test's cluster."""
    answer = trebuchet("up", job_file("echo begun; sleep 600"), "-d", "--json", "-c", cluster)
    assert answer.code == 0, answer.err
    return answer.json


def until(condition: Callable[[], Any], *, within: float = 30) -> Any:
    """Poll until something is so, and give it."""
    deadline = time.monotonic() + within
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.05)
    return found


def test_up_shows_the_output_and_exits_with_the_jobs_code(
    trebuchet: Callable[..., Any], job_file: Callable[..., str]
) -> None:
    answer = trebuchet("up", job_file("echo to-out; echo to-err >&2; exit 7"))
    assert answer.code == 7
    assert answer.out == "to-out\n"
    assert "to-err\n" in answer.err
    last = [line for line in answer.err.splitlines() if not line.startswith("  ")][-1]
    assert last.startswith("FAILED job (")
    assert "exit code 7" in last


def test_a_job_that_succeeds_ends_with_a_line_about_it(
    trebuchet: Callable[..., Any], job_file: Callable[..., str]
) -> None:
    answer = trebuchet("up", job_file("printf no-newline"))
    assert (answer.code, answer.out) == (0, "no-newline")
    assert "SUCCEEDED" in answer.err.splitlines()[-2]


def test_a_failing_setup_gives_its_own_code_and_says_so(
    trebuchet: Callable[..., Any], job_file: Callable[..., str]
) -> None:
    answer = trebuchet("up", job_file("echo never", setup="exit 3"))
    assert answer.code == 3
    assert "setup failed" in answer.err
    assert "never" not in answer.out


def test_a_job_that_times_out_exits_with_124(
    trebuchet: Callable[..., Any], job_file: Callable[..., str]
) -> None:
    answer = trebuchet("up", job_file("sleep 600"), "--timeout", "1s")
    assert answer.code == 124
    assert "timeout" in answer.err


def test_variables_and_secrets_reach_the_job(
    trebuchet: Callable[..., Any], job_file: Callable[..., str]
) -> None:
    path = job_file('echo "$A/$B/$C/$D/$E"', envs={"A": "file", "B": "file"})
    answer = trebuchet(
        "up", path, "--env", "B=true", "--secret", "C", "--envs.D", "dot", "-e", "E=x=y", C="mine"
    )
    assert answer.out == "file/true/mine/dot/x=y\n"


def test_detached_json_is_one_status_object(sleeper: dict[str, Any], cluster: str) -> None:
    assert sleeper["state"] == "PENDING"
    assert sleeper["id"].startswith("sb-")
    assert sleeper["cluster"] == cluster
    assert sleeper["done"] is False


def test_status_finds_a_job_by_key_prefix_id_and_cluster(
    trebuchet: Callable[..., Any], sleeper: dict[str, Any], cluster: str
) -> None:
    for word in (sleeper["key"], sleeper["key"][:9], sleeper["id"], cluster):
        (found,) = trebuchet("status", word, "--json").json
        assert found["key"] == sleeper["key"]
    assert trebuchet("status", "--cluster", cluster, "-q").out.split() == [sleeper["id"]]
    table = trebuchet("status", cluster).out
    assert sleeper["key"] in table


def test_cancel_ends_a_job_which_then_counts_as_cancelled(
    trebuchet: Callable[..., Any], sleeper: dict[str, Any]
) -> None:
    assert trebuchet("cancel", sleeper["key"]).code == 0
    answer = trebuchet("wait", sleeper["key"], "--json")
    assert answer.code == 137
    assert [job["state"] for job in answer.json] == ["CANCELLED"]
    assert trebuchet("cancel", sleeper["key"]).code == 0


@pytest.mark.parametrize("verb", ["stop", "down"])
def test_stop_and_down_end_a_cluster_of_which_run_makes_more(
    trebuchet: Callable[..., Any],
    job_file: Callable[..., str],
    sleeper: dict[str, Any],
    cluster: str,
    verb: str,
) -> None:
    second = trebuchet("run", job_file("sleep 600", name="second"), "-c", cluster, "-d", "--json").json
    ended = trebuchet(verb, cluster, "--json")
    assert ended.code == 0, ended.err
    assert {job["key"] for job in ended.json} == {sleeper["key"], second["key"]}
    trebuchet("wait", sleeper["key"], second["key"])
    states = {job["state"] for job in trebuchet("status", cluster, "--json").json}
    assert states == {"CANCELLED"}
    again = trebuchet(verb, cluster)
    assert again.code == 0
    assert "Nothing" in again.err


def test_logs_are_there_while_it_runs_and_after_its_end(
    trebuchet: Callable[..., Any], job_file: Callable[..., str], sleeper: dict[str, Any]
) -> None:
    until(lambda: trebuchet("logs", sleeper["key"]).out == "begun\n")
    trebuchet("cancel", sleeper["key"])
    trebuchet("wait", sleeper["key"])
    assert trebuchet("logs", sleeper["key"]).out == "begun\n"
    key = trebuchet("up", job_file("seq 5; echo oops >&2"), "-d", "-q").out.strip()
    followed = trebuchet("logs", "-f", key)
    assert (followed.out, followed.err) == ("1\n2\n3\n4\n5\n", "oops\n")
    assert trebuchet("logs", key, "--source", "stderr").err == "oops\n"
    tail = trebuchet("logs", key, "--source", "stdout", "--tail", "2")
    assert tail.out == "4\n5\n"


def test_the_same_key_launches_once(
    trebuchet: Callable[..., Any], job_file: Callable[..., str], cluster: str
) -> None:
    path = job_file("echo once")
    first = trebuchet("up", path, "--key", cluster, "-d", "--json").json
    second = trebuchet("up", path, "--key", cluster, "-d", "--json").json
    assert first["id"] == second["id"]


def launched(process: subprocess.Popen[str]) -> str:
    """Read on until the job has begun; its key."""
    assert process.stderr is not None
    assert process.stdout is not None
    said = list[str]()
    for line in process.stderr:
        if line.startswith("launched "):
            assert process.stdout.readline() == "begun\n"
            return line.split()[3]
        said.append(line)
    raise AssertionError("".join(said))


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
    ids=str,
)
def test_a_signal_detaches_and_says_how_to_come_back(
    trebuchet: Callable[..., Any],
    start: Callable[..., Any],
    job_file: Callable[..., str],
    number: signal.Signals,
    code: int,
) -> None:
    process = start("up", job_file("echo begun; sleep 600"))
    key = launched(process)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert f"trebuchet logs -f {key}" in err
    assert f"trebuchet cancel {key}" in err
    assert "Traceback" not in err
    (job,) = trebuchet("status", key, "--json").json
    assert job["state"] == "RUNNING"
    trebuchet("cancel", key)


def test_status_and_logs_survive_the_daemons_end(
    trebuchet: Callable[..., Any], sleeper: dict[str, Any]
) -> None:
    until(lambda: trebuchet("logs", sleeper["key"]).out == "begun\n")
    assert trebuchet("local", "stop").code == 0
    assert trebuchet("local", "status", "--json").json["running"] is False
    (job,) = trebuchet("status", sleeper["key"], "--json").json
    assert job["state"] == "RUNNING"
    assert trebuchet("logs", sleeper["key"]).out == "begun\n"
    trebuchet("cancel", sleeper["key"])


def test_local_env_points_at_the_running_engine(trebuchet: Callable[..., Any]) -> None:
    variables = trebuchet("local", "env", "--json").json
    assert set(variables) == {"MODAL_SERVER_URL", "MODAL_TOKEN_ID", "MODAL_TOKEN_SECRET", "MODAL_ENVIRONMENT"}
    assert variables["MODAL_SERVER_URL"] == trebuchet("local", "status", "--json").json["url"]
    exported = trebuchet("local", "env").out
    assert all(f"export {name}=" in exported for name in variables)


def test_doctor_names_every_part_and_its_state(trebuchet: Callable[..., Any]) -> None:
    findings = {finding["subject"]: finding for finding in trebuchet("doctor", "--json").json}
    assert {"modal SDK", "state folder", "disk", "isolation", "local engine", "Modal account"} <= set(
        findings
    )
    assert findings["modal SDK"]["level"] == "ok"
    assert all(finding["remedy"] for finding in findings.values() if finding["level"] == "fail")


@pytest.mark.parametrize("gpus", [[], ["--gpus", "H100"]], ids=["cpu", "gpu"])
def test_ctrl_c_before_the_sandbox_exists_leaves_nothing_behind(
    trebuchet: Callable[..., Any],
    start: Callable[..., Any],
    job_file: Callable[..., str],
    own_home: Path,
    gpus: list[str],
) -> None:
    slow = json.dumps([{"call": "SandboxCreate*", "action": "delay", "seconds": 4}])
    machine = {"TREBUCHET_FAULTS": slow, "TREBUCHET_LOCAL_GPUS": "1xH100"}
    process = start("up", job_file("sleep 600"), *gpus, **machine)
    until(lambda: "asked" in happened(own_home))
    slow_call_is_over = time.monotonic() + 5
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "aborted" in err
    assert "Traceback" not in err
    engine = LocalEngine(Settings(home=own_home))
    until(lambda: trebuchet("status", "--json").json[0]["state"] == "CANCELLED")
    until(lambda: time.monotonic() > slow_call_is_over and engine.find({}) == [])
    assert "Traceback" not in trebuchet("status").err


def happened(home: Path) -> list[str]:
    """The kinds of all events so far, without a process for each look."""
    launcher = Launcher(Settings(home=home))
    try:
        return [event.kind for job in launcher.jobs() for event in launcher.events(job.key)]
    finally:
        launcher.close()
