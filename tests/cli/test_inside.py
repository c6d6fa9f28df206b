"""Inside a running job, from the command line, on a real engine."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support.engine import wait_until
from support.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def job(trebuchet: Callable[..., Any], job_file: Callable[..., str]) -> Iterator[str]:
    """The key of a job that runs."""
    key = trebuchet("up", job_file("echo begun; sleep 600"), "-d", "--json").json["key"]
    deadline = time.monotonic() + 30
    while trebuchet("logs", key).out != "begun\n":
        assert time.monotonic() < deadline
    yield key
    trebuchet("cancel", key)


def test_exec_has_the_callers_streams_and_exit_code(trebuchet: Callable[..., Any], job: str) -> None:
    answer = trebuchet("exec", job, "--", "sh", "-c", "pwd; echo err >&2; exit 7")
    assert (answer.code, answer.out, answer.err) == (7, "/root/sky_workdir\n", "err\n")


def test_exec_and_shell_see_what_the_scripts_see(
    trebuchet: Callable[..., Any], job_file: Callable[..., str]
) -> None:
    script = 'env | grep -E "^(TREBUCHET|SKYPILOT|OWN)_" | grep -v EXEC= | sort'
    path = job_file(f"{script}; sleep 600", envs={"OWN_VALUE": "mine"})
    key = trebuchet("up", path, "-d", "--json").json["key"]
    wait_until(lambda: "TREBUCHET_OUTPUTS" in trebuchet("logs", key).out)
    scripts_see = trebuchet("logs", key).out
    assert {"TREBUCHET_ATTEMPT=1", f"SKYPILOT_TASK_ID=trebuchet-{key}"} <= set(scripts_see.splitlines())
    assert trebuchet("exec", key, "--", "sh", "-c", script).out == scripts_see
    terminal = Terminal("shell", key)
    terminal.type("echo at''tempt=$TREBUCHET_ATTEMPT\nexit\n")
    terminal.read_until("attempt=1")
    assert terminal.process.wait(timeout=30) == 0
    trebuchet("cancel", key)


@pytest.mark.usefixtures("own_home")
def test_nobody_waits_at_the_door_of_a_job_that_is_queued(
    trebuchet: Callable[..., Any],
    start: Callable[..., Any],
    job_file: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TREBUCHET_LOCAL_CPUS", "1")
    path = job_file("sleep 600", resources={"cloud": "local", "memory": "1", "cpus": 2})
    holder, queued = (trebuchet("up", path, "-d", "--json").json["key"] for _ in range(2))
    for command in (("exec", queued, "--", "true"), ("ports", queued), ("cp", f"{queued}:x", "y")):
        answer = trebuchet(*command)
        assert (answer.code, "does not run yet: it waits for 1 of 1 CPU" in answer.err) == (204, True)
    assert trebuchet("exec", holder, "--", "echo", "in").out == "in\n"
    trebuchet("cancel", holder)
    assert trebuchet("exec", queued, "--", "echo", "in").out == "in\n"
    trebuchet("cancel", queued)


def test_a_shell_is_a_real_terminal(job: str) -> None:
    terminal = Terminal("shell", job)
    terminal.type("echo si''ze $(stty size) on $(tty)\n")
    terminal.read_until("size 24 80 on /dev/pts/")
    terminal.resize(30, 100)
    terminal.process.send_signal(signal.SIGWINCH)
    terminal.type("until stty size | grep -q '30 100'; do sleep 0.1; done; echo resi''zed\n")
    terminal.read_until("resized")
    terminal.type("sh -c 'echo slee\"\"ping; exec sleep 600'; echo not-rea''ched\n")
    terminal.read_until("sleeping\r\n")
    terminal.type("\x03")
    terminal.type("echo bro''ken=$?\n")
    terminal.read_until("broken=130")
    terminal.type("exit 5\n")
    assert terminal.process.wait(timeout=30) == 5


def test_a_shell_without_a_terminal_says_what_to_do(trebuchet: Callable[..., Any], job: str) -> None:
    answer = trebuchet("shell", job)
    assert answer.code == 201
    assert "trebuchet exec" in answer.err


def test_files_are_copied_both_ways(trebuchet: Callable[..., Any], job: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/big").write_bytes(os.urandom(5_000_000))
    (tmp_path / "folder/é x").write_text("odd name")
    assert trebuchet("cp", "folder", f"{job}:there").code == 0
    assert trebuchet("cp", f"{job}:there", "back").code == 0
    assert (tmp_path / "back/big").read_bytes() == (tmp_path / "folder/big").read_bytes()
    assert (tmp_path / "back/é x").read_text() == "odd name"
    assert trebuchet("cp", f"{job}:/root/sky_workdir/there/é x", ".").code == 0
    assert (tmp_path / "é x").read_text() == "odd name"
    assert trebuchet("cp", f"{job}:nothing", "x").code >= 200
    assert not (tmp_path / "x").exists()
    assert trebuchet("cp", "nothing", f"{job}:x").code == 201


def test_files_with_several_names_are_copied(trebuchet: Callable[..., Any], job: str, tmp_path: Path) -> None:
    make = "mkdir -p d/e; echo one > d/a; ln d/a d/e/b; ln -s ../a d/e/c"
    assert trebuchet("exec", job, "--", "sh", "-c", make).code == 0
    answer = trebuchet("cp", f"{job}:d", "here")
    assert answer.code == 0, answer.err
    for name in ("a", "e/b", "e/c"):
        assert (tmp_path / "here" / name).read_text() == "one\n"
        assert not (tmp_path / "here" / name).is_symlink()


def test_a_folder_in_the_job_takes_what_is_copied_under_its_own_name(
    trebuchet: Callable[..., Any], job: str, tmp_path: Path
) -> None:
    (tmp_path / "f").write_text("content")
    assert trebuchet("exec", job, "--", "mkdir", "-p", "empty", "full/f", "full/other").code == 0
    for target in ("empty", "new/er/", "named"):
        assert trebuchet("cp", "f", f"{job}:{target}").code == 0
    found = trebuchet("exec", job, "--", "find", "empty", "new", "named", "-type", "f").out.split()
    assert found == ["empty/f", "new/er/f", "named"]
    answer = trebuchet("cp", "f", f"{job}:full")
    assert (answer.code, "full/f is a folder" in answer.err) == (205, True)


def test_a_folder_here_takes_what_is_copied_under_its_own_name(
    trebuchet: Callable[..., Any], job: str, tmp_path: Path
) -> None:
    assert trebuchet("exec", job, "--", "sh", "-c", "echo content >f").code == 0
    assert trebuchet("cp", f"{job}:f", "new/er/").code == 0
    assert (tmp_path / "new/er/f").read_text() == "content\n"


def test_a_name_that_a_terminal_would_obey_is_told_without_its_power(
    trebuchet: Callable[..., Any], job: str
) -> None:
    make = "mkdir odd; echo 1 > odd/x; ln -s nowhere \"odd/$(printf 'e\\033[31mx\\ny')\""
    assert trebuchet("exec", job, "--", "sh", "-c", make).code == 0
    answer = trebuchet("cp", f"{job}:odd", "here")
    assert (answer.code, answer.err.count("\n")) == (0, 1), answer.err
    assert answer.err.startswith("note: odd/e?[31mx?y is left out")


def test_links_out_of_a_folder_are_followed_and_links_within_it_kept(
    trebuchet: Callable[..., Any], job: str, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    (folder / "blobs").mkdir(parents=True)
    (folder / "sub").mkdir()
    (folder / "blobs/b").write_text("blob")
    (folder / "sub/relative").symlink_to("../blobs/b")
    (folder / "sub/absolute").symlink_to(folder / "blobs/b")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/o").write_text("outside")
    (folder / "out").symlink_to("../outside")
    (folder / "sub/above").symlink_to(tmp_path)
    (folder / "nowhere").symlink_to("missing")
    os.mkfifo(folder / "fifo")
    answer = trebuchet("cp", "folder", f"{job}:there")
    assert answer.code == 0, answer.err
    left_out = {line.split()[1] for line in answer.err.splitlines() if line.startswith("note: ")}
    assert left_out >= {"folder/nowhere", "folder/fifo", "folder/sub/above/folder"}
    (tmp_path / "link").symlink_to("folder/blobs/b")
    assert trebuchet("cp", "link", f"{job}:linked").code == 0
    script = "cat linked there/sub/relative there/sub/absolute there/out/o; find there -type l | sort"
    shown = trebuchet("exec", job, "--", "sh", "-c", script).out
    assert shown == "blobblobbloboutsidethere/sub/absolute\nthere/sub/relative\n"


def test_what_is_no_file_and_no_link_to_one_stays_in_the_job(
    trebuchet: Callable[..., Any], job: str, tmp_path: Path
) -> None:
    make = "mkdir d; echo one >d/a; mkfifo d/fifo; ln -s no d/dangling; ln -s ../other d/link; echo 2 >other"
    assert trebuchet("exec", job, "--", "sh", "-c", make).code == 0
    answer = trebuchet("cp", f"{job}:d", "here")
    assert answer.code == 0, answer.err
    assert {path.name: path.read_text() for path in (tmp_path / "here").iterdir()} == {
        "a": "one\n", "link": "2\n",
    }  # fmt: skip
    assert {line.split()[1] for line in answer.err.splitlines()} == {"d/fifo", "d/dangling"}


def test_a_copy_that_fails_here_is_told_in_a_line_and_ends_in_the_job(
    trebuchet: Callable[..., Any], job: str, tmp_path: Path
) -> None:
    make = "mkdir d; for i in 1 2 3 4 5; do head -c 1000000 /dev/zero >d/$i; done"
    assert trebuchet("exec", job, "--", "sh", "-c", make).code == 0
    (tmp_path / "here/3").mkdir(parents=True)
    (tmp_path / "here/3/in-the-way").touch()
    answer = trebuchet("cp", f"{job}:d/", "here/3/in-the-way/x")
    assert (answer.code, len(answer.err.splitlines()), answer.err[:7]) == (200, 1, "error: ")
    wait_until(lambda: not alive(trebuchet, job, "-chf"))


def test_a_copy_that_fails_in_the_job_does_not_wait_for_its_reader(
    trebuchet: Callable[..., Any], job: str, tmp_path: Path
) -> None:
    (tmp_path / "big").write_bytes(bytes(3_000_000))
    answer = trebuchet("cp", "big", f"{job}:/proc/nothing/big")
    assert (answer.code, "cannot be copied into" in answer.err) == (205, True)


def test_a_copy_replaces_no_pipe_and_no_device(
    trebuchet: Callable[..., Any], job: str, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("fifo")
    assert trebuchet("exec", job, "--", "sh", "-c", "echo content >f").code == 0
    for target in ("fifo", "link"):
        answer = trebuchet("cp", f"{job}:f", target)
        assert (answer.code, "neither a file nor a folder" in answer.err) == (201, True)
    assert (tmp_path / "fifo").is_fifo()


@pytest.mark.parametrize(
    ("name", "link"),
    [
        ("d/../../escaped", ""),
        ("/escaped", ""),
        ("escaped", ""),
        ("d/l", "../../escaped"),
        ("d/l", "/etc/passwd"),
        ("d/l", "d"),
    ],
)
def test_what_a_job_packs_lands_in_its_place_alone(
    trebuchet: Callable[..., Any], job: str, tmp_path: Path, name: str, link: str
) -> None:
    """The job packs what is copied out of it, with whatever it has for a `tar`."""
    program = f"""#!/usr/bin/env python3
import io, sys, tarfile
with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as archive:
    folder = tarfile.TarInfo("d")
    folder.type, folder.mode = tarfile.DIRTYPE, 0o755
    archive.addfile(folder)
    one = tarfile.TarInfo({name!r})
    one.linkname = {link!r}
    one.type, one.size = (tarfile.SYMTYPE, 0) if one.linkname else (tarfile.REGTYPE, 4)
    archive.addfile(one, io.BytesIO(b"evil"))
"""
    (tmp_path / "evil").write_text(program)
    (tmp_path / "work").mkdir()
    assert trebuchet("cp", "evil", f"{job}:/usr/local/bin/tar").code == 0
    assert trebuchet("exec", job, "--", "sh", "-c", "mkdir d; chmod +x /usr/local/bin/tar").code == 0
    before = set(tmp_path.rglob("*"))
    answer = trebuchet("cp", f"{job}:d", "work/here")
    assert (answer.code, answer.out) == (205, "")
    assert "cannot be unpacked" in answer.err
    assert set(tmp_path.rglob("*")) - before <= {tmp_path / "work/here"}
    assert not (tmp_path.parent / "escaped").exists()


def test_a_port_of_the_job_is_reached(trebuchet: Callable[..., Any], job_file: Callable[..., str]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = f"mkdir w; echo hello > w/index.html; cd w; exec python3 -m http.server {port} --bind 127.0.0.1"
    path = job_file(script, resources={"cloud": "local", "ports": [port]})
    launched = trebuchet("up", path, "-d", "--json")
    key = launched.json["key"]
    address = trebuchet("ports", key, "--json").json[str(port)]
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + 30
    while True:
        try:
            assert opener.open(address, timeout=5).read() == b"hello\n"
            break
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    trebuchet("cancel", key)


def test_nothing_is_inside_a_job_that_has_ended(
    trebuchet: Callable[..., Any], job_file: Callable[..., str]
) -> None:
    key = trebuchet("up", job_file("true"), "-d", "--json").json["key"]
    trebuchet("wait", key)
    for arguments in (("exec", key, "--", "true"), ("ports", key), ("cp", f"{key}:x", "y")):
        answer = trebuchet(*arguments)
        assert answer.code == 204
        assert "does not run" in answer.err


def alive(trebuchet: Callable[..., Any], job: str, word: str) -> bool:
    """Whether a process with this word among its arguments runs in the job."""
    script = 'cat /proc/[0-9]*/cmdline 2>/dev/null | tr "\\0" "\\n" | grep -qx "$(echo "$0" | tr a-z A-Z)"'
    return trebuchet("exec", job, "--", "sh", "-c", script, word).code == 0


def test_what_cannot_be_written_here_is_an_error_and_ends_the_command(
    trebuchet: Callable[..., Any], job: str
) -> None:
    script = "trap 'echo ended >/tmp/ended; exit' TERM; head -c 300000 /dev/zero; while :; do sleep 0.1; done"
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "trebuchet", "exec", job, "--", "sh", "-c", script],
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr.splitlines()[-1]) == (200, "error: No space left on device")
    assert trebuchet("exec", job, "--", "cat", "/tmp/ended").out == "ended\n"


def test_a_reader_that_goes_ends_the_command(
    trebuchet: Callable[..., Any], start: Callable[..., Any], job: str
) -> None:
    running = start("exec", job, "--", "yes", "READERGONE")
    assert running.stdout.readline() == "READERGONE\n"
    running.stdout.close()
    assert (running.wait(timeout=60), running.stderr.read()) == (141, "")
    wait_until(lambda: not alive(trebuchet, job, "readergone"))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_leaving_an_exec_ends_the_command_and_what_it_started(
    trebuchet: Callable[..., Any], start: Callable[..., Any], job: str, number: int, code: int
) -> None:
    # Processes that come and go all the time, since some are gone before they have been looked at.
    churn = "while :; do /bin/true; done & "
    script = f"trap '' TERM; {churn * 2} sh -c 'echo begun; sleep 600' LEFT{code}; :"
    running = start("exec", job, "--", "sh", "-c", script)
    assert running.stdout.readline() == "begun\n"
    assert alive(trebuchet, job, f"left{code}")
    running.send_signal(number)
    assert (running.wait(timeout=60), running.stderr.read()) == (code, "")
    wait_until(lambda: not alive(trebuchet, job, f"left{code}"))
