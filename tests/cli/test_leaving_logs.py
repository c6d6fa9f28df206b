"""Whoever follows a log may go at any moment: the job goes on, and the cursor tells where it was left."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from support.engine import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def talking(trebuchet: Callable[..., Any], job_file: Callable[..., str]) -> str:
    """The key of a job that has said one thing, and says another when told to."""
    script = "echo first; until test -e /tmp/go; do sleep 0.1; done; echo second"
    return trebuchet("up", job_file(script), "-d", "--json").json["key"]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_ends_the_following_and_leaves_the_cursor(
    talking: str, trebuchet: Callable[..., Any], start: Callable[..., Any], number: int, code: int
) -> None:
    follower = start("logs", "-f", talking, "--cursor", "start")
    assert follower.stdout.readline() == "first\n"
    follower.send_signal(number)
    out, told = follower.communicate(timeout=30)
    assert (follower.returncode, out) == (code, "")
    assert told.startswith("cursor: ")
    trebuchet("exec", talking, "--", "touch", "/tmp/go")
    rest = trebuchet("logs", "-f", talking, "--cursor", told.split()[1])
    assert (rest.code, rest.out) == (0, "second\n")


@pytest.mark.parametrize(
    ("filters", "past", "coming"),
    [
        (["--source", "stderr"], ["err 4", "err 5"], ["err 6"]),
        (["--grep", "^out [^3-9]"], ["out 1", "out 2"], []),
        (["--grep", "[3-9]", "--source", "stdout"], ["out 4", "out 5"], ["out 6"]),
        (["--grep", "6"], [], ["out 6", "err 6"]),
        ([], ["err 4", "err 5"], ["out 6", "err 6"]),
    ],
)
def test_the_last_lines_of_what_there_is_come_at_once_and_then_what_comes(
    trebuchet: Callable[..., Any],
    start: Callable[..., Any],
    job_file: Callable[..., str],
    filters: list[str],
    past: list[str],
    coming: list[str],
) -> None:
    script = """
for i in 1 2 3 4 5; do echo out $i; done; sleep 0.1; for i in 1 2 3 4 5; do echo err $i >&2; done
until test -e /tmp/go; do sleep 0.1; done; printf 'out '; echo 6; sleep 0.1; echo err 6 >&2
"""
    key = trebuchet("up", job_file(script), "-d", "--json").json["key"]
    wait_until(lambda: trebuchet("logs", key).err.endswith("err 5\n"))
    follower = subprocess.Popen(
        [sys.executable, "-m", "trebuchet", "logs", "-f", key, "--tail", "2", *filters],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert follower.stdout is not None
    assert [follower.stdout.readline() for _ in past] == [f"{line}\n" for line in past]
    trebuchet("exec", key, "--", "touch", "/tmp/go")
    rest, _ = follower.communicate(timeout=60)
    assert (follower.returncode, rest) == (0, "".join(f"{line}\n" for line in coming))


@pytest.mark.parametrize("form", [[], ["--json"], ["-t"]])
def test_a_reader_that_goes_is_no_failure(
    trebuchet: Callable[..., Any], job_file: Callable[..., str], form: list[str]
) -> None:
    key = trebuchet("up", job_file("seq 200000"), "-d", "--json").json["key"]
    trebuchet("wait", key)
    logs = subprocess.Popen(
        [sys.executable, "-m", "trebuchet", "logs", key, *form],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert logs.stdout is not None
    assert logs.stderr is not None
    assert logs.stdout.readline()
    logs.stdout.close()
    assert (logs.wait(timeout=60), logs.stderr.read()) == (141, "")
    logs.stderr.close()
