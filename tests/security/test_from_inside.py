"""What a program in a sandbox tries against the machine, the engine and other sandboxes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from trebuchet.emulator.process.isolation import find_bubblewrap

if TYPE_CHECKING:
    from support.engine import Engine

pytestmark = pytest.mark.skipif(find_bubblewrap() is None, reason="without bubblewrap nothing is kept apart")

SEARCH = """
import os, sys
needle = sys.argv[1].encode()
for folder, folders, files in os.walk("/"):
    folders[:] = [name for name in folders if os.path.join(folder, name) not in ("/proc", "/sys", "/usr")]
    for name in files:
        path = os.path.join(folder, name)
        try:
            if os.path.isfile(path) and os.path.getsize(path) < 100_000 and needle in open(path, "rb").read():
                print(path)
        except OSError:
            pass
for pid in filter(str.isdigit, os.listdir("/proc")):
    for fact in ("environ", "cmdline"):
        try:
            content = open(f"/proc/{pid}/{fact}", "rb").read()
        except OSError:
            continue
        if needle in content and int(pid) != os.getpid():
            print(pid, fact)
"""


def test_the_token_is_nowhere_to_be_found(engine: Engine) -> None:
    half = len(engine.endpoint.token_secret) // 2  # so that the search does not find its own argument
    script = SEARCH.replace("sys.argv[1].encode()", "b''.join(part.encode() for part in sys.argv[1:])")
    parts = engine.endpoint.token_secret[:half], engine.endpoint.token_secret[half:]
    assert engine.run("python3", "-c", script, *parts) == (0, "")


def test_the_state_the_homes_and_the_code_of_the_host_are_hidden(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "private").write_text("private")
    hidden = [engine.state, engine.state / "token.json", tmp_path, Path(__file__), Path.home() / ".ssh"]
    script = 'for path; do test -e "$path" && echo "$path"; done; ls /home 2>/dev/null; true'
    assert engine.run("sh", "-c", script, "sh", *map(str, hidden)) == (0, "")


def test_other_sandboxes_files_and_processes_are_not_seen(engine: Engine) -> None:
    mark = f"mark{uuid.uuid4().hex}"
    other = engine.create(
        "sh", "-c", f"echo {mark} > /root/{mark}; touch /tmp/{mark}; echo up; exec sleep 3001"
    )
    assert next(iter(other.stdout)) == "up\n"
    half = len(mark) // 2
    files = f"find / -xdev -name {mark[:half]}''{mark[half:]}"
    processes = "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -c 'sleep 300[1]'"
    look = f"{files}; {processes}"
    _, output = engine.run("sh", "-c", look)
    assert output.split() == ["0"]
    assert other.poll() is None
    other.terminate()


def test_no_process_of_the_host_can_be_signalled(engine: Engine) -> None:
    mark = uuid.uuid4().hex
    neighbour = engine.create("sleep", "3003", tags={"mark": mark})
    target = subprocess.Popen(["sleep", "3002"])
    try:
        pids = [str(target.pid), str(engine.endpoint.pid), str(os.getpid())]
        kill = "  try: os.kill(pid, 9)\n  except OSError: print('no')"
        attack = f"import os, sys\nfor pid in map(int, sys.argv[1:]):\n{kill}"
        _, output = engine.run("python3", "-c", attack, *pids)
        assert output.split() == ["no"] * 3
        engine.run("python3", "-c", "import os; os.kill(-1, 9)")
        assert target.poll() is None
        assert engine.listed(mark=mark) == [neighbour.object_id]  # it still answers
        neighbour.terminate()
    finally:
        target.kill()
        target.wait()


@pytest.mark.parametrize(
    "attack",
    [
        "mount -t proc none /mnt",
        "mknod /tmp/disk b 8 0 && head -c 1 /tmp/disk",
        "ls /proc/1/root/../../home/*",
        "cat /proc/kcore | head -c 1",
        "echo 1 > /proc/sys/kernel/panic",
        "echo c > /proc/sysrq-trigger",
        "insmod /tmp/none.ko",
        "chroot /proc/1/root true && nsenter -t 1 -m true --target 1",
        "ls /sys/fs/cgroup/*/ -d && mkdir /sys/fs/cgroup/mine",
    ],
)
def test_power_over_the_kernel_is_refused(engine: Engine, attack: str) -> None:
    code, _ = engine.run("bash", "-c", f"set -e -o pipefail; {attack}")
    assert code != 0


def test_loopback_is_reached_but_the_engine_wants_its_token(engine: Engine) -> None:
    script = (
        "import sys, urllib.request, urllib.error\n"
        "try: urllib.request.build_opener(urllib.request.ProxyHandler({})).open(sys.argv[1], timeout=10)\n"
        "except urllib.error.HTTPError as error: print(error.code)"
    )
    assert engine.run("python3", "-c", script, f"{engine.endpoint.url}/_trebuchet/calls") == (0, "401\n")


def test_files_of_the_engine_are_its_owners_alone(engine: Engine) -> None:
    for name in ("token.json", "endpoint.json"):
        assert (engine.state / name).stat().st_mode & 0o077 == 0
    assert engine.state.stat().st_mode & 0o077 == 0


def test_temporary_files_of_the_host_that_are_meant_to_last_are_hidden(engine: Engine) -> None:
    with tempfile.NamedTemporaryFile(dir="/var/tmp", prefix="of-the-host-") as there:
        assert engine.run("sh", "-c", f"ls /var/tmp; test -e {there.name}; echo $?; touch /var/tmp/mine") == (
            0,
            "1\n",
        )


KEYS = """
import ctypes
libc = ctypes.CDLL(None)
print(libc.syscall(250, 0, -3, 0))  # the serial number of the session's keyring
"""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the number of the call is another elsewhere")
def test_the_keys_of_the_users_session_stay_behind(engine: Engine) -> None:
    ours = int(subprocess.check_output([sys.executable, "-c", KEYS]))
    code, theirs = engine.run("python3", "-c", KEYS)
    assert code == 0
    assert int(theirs) not in {ours, -1}
