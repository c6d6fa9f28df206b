"""The fixtures, as a project of its own uses them: pytest in a process finds them by their entry point."""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import subprocess
import sys
import uuid
from contextlib import suppress
from pathlib import Path

import pytest

from support.engine import wait_until

PAGE = Path(__file__).parents[2] / "docs" / "testing-your-code.md"
FILE = re.compile(r"```python\n# (\S+\.py)\n(.*?)```", re.DOTALL)


class Project:
    """A folder with tests, and what pytest says of them."""

    def __init__(self, folder: Path, cache: Path, temporary: Path) -> None:
        self._folder = folder
        self._temporary = temporary
        self._settings = f"[pytest]\nmodal_server_cache = {cache}\n"
        self._variables: dict[str, str] = {}
        self.configure("")

    def configure(self, *lines: str, **variables: str) -> None:
        """Add lines to pytest's settings, and variables to what it runs in."""
        (self._folder / "pytest.ini").write_text(self._settings + "\n".join(lines) + "\n")
        self._variables = variables

    def write(self, name: str, text: str) -> None:
        (self._folder / name).write_text(text)

    def run(self, *options: str) -> str:
        """Run its tests, which must pass; what pytest printed."""
        process = self.start(*options)
        try:
            said, _ = process.communicate(timeout=110)
        finally:
            process.kill()
        assert process.returncode == 0, said
        return said

    def start(self, *options: str) -> subprocess.Popen[str]:
        """Begin to run its tests."""
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("MODAL_", "PYTEST_"))
        }
        return subprocess.Popen(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options],
            cwd=self._folder,
            env=kept | self._variables | {"TMPDIR": str(self._temporary)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def end_forks(self, process: subprocess.Popen[str]) -> None:
        """End what a run of its own session has forked."""
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    def left(self) -> list[str]:
        """What servers left in the folder for temporary files."""
        return [path.name for path in self._temporary.glob("modal-server-*")]


@pytest.fixture
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    cache = tmp_path_factory.getbasetemp() / "layers-of-servers"
    return Project(tmp_path_factory.mktemp("project"), cache, tmp_path_factory.mktemp("temporary"))


def test_the_page_about_it_is_true(project: Project) -> None:
    files = FILE.findall(PAGE.read_text())
    assert [name for name, _ in files] == ["shout.py", "test_shout.py"]
    for name, text in files:
        project.write(name, text)
    assert "3 passed" in project.run()
    assert project.left() == []


def test_each_server_has_the_image_of_sandboxes_that_name_none(project: Project) -> None:
    project.write(
        "test_it.py",
        """
import modal
import pytest

@pytest.mark.parametrize("which", [1, 2])
def test_without_an_image(fresh_modal_server, which):
    app = modal.App.lookup("mine", create_if_missing=True)
    sandbox = modal.Sandbox.create("echo", "here", app=app)
    assert sandbox.stdout.read() == "here\\n"

def test_beside_a_server_of_the_session(modal_server):
    app = modal.App.lookup("mine", create_if_missing=True)
    assert modal.Sandbox.create("echo", "here", app=app).stdout.read() == "here\\n"
""",
    )
    assert "3 passed" in project.run()


def test_environment_processes_and_the_sdk_are_as_they_were(project: Project) -> None:
    project.write(
        "test_it.py",
        """
import os
import modal
import pytest

def create():
    app = modal.App.lookup("mine", create_if_missing=True)
    return modal.Sandbox.create("sleep", "600", app=app, image=modal.Image.debian_slim())

def test_a_session(modal_server):
    create()
    assert len(modal_server.sandboxes()) == 1
    assert os.environ["MODAL_SERVER_URL"] == modal_server.url == modal_server.variables["MODAL_SERVER_URL"]

def test_one_within_it(modal_server, fresh_modal_server):
    assert fresh_modal_server.url != modal_server.url
    assert fresh_modal_server.calls() == {}
    sandbox = create()
    assert fresh_modal_server.sandboxes() == [sandbox.object_id]
    assert fresh_modal_server.calls()["SandboxCreateV2"] == 1
    fresh_modal_server.clear_calls()
    assert fresh_modal_server.calls() == {}

def test_back_in_the_session(modal_server):
    assert os.environ["MODAL_SERVER_URL"] == modal_server.url
    app = modal.App.lookup("mine")
    assert [found.object_id for found in modal.Sandbox.list(app_id=app.app_id)] == modal_server.sandboxes()

def test_gpus_are_pretended_and_may_be_had_by_others(fresh_modal_server):
    fresh_modal_server.hold_gpus(H100=8)
    app = modal.App.lookup("mine", create_if_missing=True)
    fresh_modal_server.hold_gpus()
    sandbox = modal.Sandbox.create("true", app=app, image=modal.Image.debian_slim(), gpu="H100:8")
    sandbox.wait()
    assert sandbox.returncode == 0

def test_what_could_never_happen_is_refused(modal_server):
    with pytest.raises(ValueError, match="SandboxCraete"):
        modal_server.set_faults(modal_server.fault("SandboxCraete*"))
    for held in ({"Z9": 1}, {"H100": 80}, {"H100": -1}):
        with pytest.raises(Exception, match="cannot be held: this machine has"):
            modal_server.hold_gpus(**held)
""",
    )
    project.write(
        "conftest.py",
        """
import os

def pytest_sessionfinish():
    assert "MODAL_SERVER_URL" not in os.environ
""",
    )
    assert "5 passed" in project.run()
    assert project.left() == []


class Account:
    """A server that counts who comes, and a configuration of the SDK's that leads there."""

    def __init__(self, folder: Path) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.configuration = folder / "modal.toml"
        self.configuration.write_text(
            "[default]\nactive = true\ntoken_id = 'ak-real'\ntoken_secret = 'as-real'\n"
            f"server_url = 'http://127.0.0.1:{self._listening.getsockname()[1]}'\n"
        )

    def was_visited(self) -> bool:
        return bool(select.select([self._listening], [], [], 0)[0])


@pytest.mark.parametrize("options", [(), ("-n", "2")])
def test_a_module_that_is_imported_asks_no_account_of_the_users(
    project: Project, tmp_path: Path, options: tuple[str, ...]
) -> None:
    account = Account(tmp_path)
    project.configure("modal_server_only = true", MODAL_CONFIG_PATH=str(account.configuration))
    project.write("mine.py", "import modal\n\napp = modal.App.lookup('at-import', create_if_missing=True)\n")
    project.write("conftest.py", "import mine\n")
    project.write(
        "test_it.py",
        """
import os
import mine
import modal

def test_without_the_fixture():
    assert modal.App.lookup("at-import").app_id == mine.app.app_id

def test_with_it(modal_server):
    assert os.environ["MODAL_SERVER_URL"] == modal_server.url
    sandbox = modal.Sandbox.create("echo", "here", app=mine.app)
    assert sandbox.stdout.read() == "here\\n"
    sandbox.wait()
    assert modal_server.sandboxes() == []

def test_beside_another(fresh_modal_server):
    assert fresh_modal_server.calls() == {}
    modal.App.lookup("of-the-other", create_if_missing=True)
    assert fresh_modal_server.calls()["AppGetOrCreate"] == 1

def test_back_again():
    assert modal.App.lookup("at-import").app_id == mine.app.app_id
""",
    )
    assert "4 passed" in project.run(*options)
    assert not account.was_visited()
    assert project.left() == []


UNTIL_KILLED = """
import modal
import os
import pathlib
import signal
import sys

def test_it(modal_server):
    app = modal.App.lookup("mine", create_if_missing=True)
    sandbox = modal.Sandbox.create("sleep", "{seconds}", app=app)
    sandbox.exec("true").wait()
    {before}
    {end}
"""
KILL_THE_GUARD = "os.kill(modal_server._engine._guard.pid, signal.SIGKILL)"
ENDS = {
    "SIGKILL": "os.kill(os.getpid(), signal.SIGKILL)",
    "SIGTERM": "os.kill(os.getpid(), signal.SIGTERM)",
    "os._exit": "os._exit(3)",
    "SIGKILL beside a fork": "os.fork() and os.kill(os.getpid(), signal.SIGKILL); signal.pause()",
}


def runs(*argv: str) -> bool:
    """Whether a process with these arguments is there."""
    listed = subprocess.check_output(["ps", "-A", "-o", "args="], text=True)
    return any(line.split() == list(argv) for line in listed.splitlines())


@pytest.mark.parametrize("end", ENDS)
def test_nothing_outlives_tests_that_are_killed(project: Project, end: str) -> None:
    seconds = str(1_000_000 + uuid.uuid4().int % 1_000_000)
    project.write("test_it.py", UNTIL_KILLED.format(seconds=seconds, before="pass", end=ENDS[end]))
    forked = project.start("-s")
    try:
        assert forked.wait(100) != 0
        wait_until(lambda: not runs("sleep", seconds) and not project.left(), 60)
    finally:
        project.end_forks(forked)


def test_what_outlived_killed_tests_goes_when_the_next_begin(project: Project) -> None:
    seconds = str(1_000_000 + uuid.uuid4().int % 1_000_000)
    end = ENDS["SIGKILL"]
    project.write("test_it.py", UNTIL_KILLED.format(seconds=seconds, before=KILL_THE_GUARD, end=end))
    assert project.start().wait(100) == -signal.SIGKILL
    assert runs("sleep", seconds)
    assert len(project.left()) == 1
    project.write("test_it.py", "def test_it(modal_server):\n    pass\n")
    assert "1 passed" in project.run()
    assert project.left() == []
    wait_until(lambda: not runs("sleep", seconds))


def test_an_image_that_a_module_makes_is_good_for_each_server(project: Project) -> None:
    project.write("greeting.txt", "hello\n")
    project.write(
        "test_it.py",
        """
import modal
import pytest

BASE = modal.Image.debian_slim().env({"WHO": "you"})
IMAGE = BASE.run_commands("echo made > /made").workdir("/tmp")
OF_A_FILE = modal.Image.debian_slim().add_local_file("greeting.txt", "/greeting", copy=True)

def run(image, *command):
    app = modal.App.lookup("mine", create_if_missing=True)
    return modal.Sandbox.create("sh", "-c", *command, app=app, image=image).stdout.read()

@pytest.mark.parametrize("which", [1, 2, 3])
def test_each(fresh_modal_server, which):
    assert run(IMAGE, "cat /made; pwd; echo $WHO") == "made\\n/tmp\\nyou\\n"
    assert run(BASE, "echo $WHO") == "you\\n"

def test_of_a_file(fresh_modal_server):
    assert run(OF_A_FILE, "cat /greeting") == "hello\\n"

def test_of_a_file_of_another_server(fresh_modal_server):
    with pytest.raises(modal.exception.NotFoundError, match="let each make its own"):
        run(OF_A_FILE, "cat /greeting")
""",
    )
    assert "5 passed" in project.run()


def test_every_gpu_that_modal_has_may_be_asked_for(project: Project) -> None:
    project.write(
        "test_it.py",
        """
import modal

NAMES = [
    "T4", "L4", "A10", "A10G", "A10:4", "L40S", "A100", "A100-40GB:8", "A100-80GB:8", "RTX-PRO-6000",
    "H100", "H100!", "H200", "B200", "B200+", "B300", "any",
]

def test_all(modal_server):
    app = modal.App.lookup("mine", create_if_missing=True)
    for name in NAMES:
        assert modal.Sandbox.create("echo", app=app, gpu=name).wait() is None, name
""",
    )
    assert "1 passed" in project.run()


def test_it_is_ready_at_once(project: Project) -> None:
    project.write(
        "test_it.py",
        """
import pytest

@pytest.mark.parametrize("time", range(6))
def test_it(fresh_modal_server, time):
    pass
""",
    )
    said = project.run("--durations=0", "-vv")
    took = sorted(float(seconds) for seconds in re.findall(r"([\d.]+)s setup", said))
    assert took, said
    print("engines ready after", took)
    assert took[0] < 0.3  # of several, so that a busy machine does not decide
