"""Commands beside a sandbox's own: every option, and how they end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import modal
import pytest
from modal.exception import InvalidError, NotFoundError
from modal.stream_type import StreamType

from support.engine import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.engine import Engine

both_versions = pytest.mark.parametrize("options", [{}, {"gpu": "H100"}], ids=["v2", "v1"])


@pytest.fixture(scope="module")
def sandbox(engine: Engine) -> Iterator[modal.Sandbox]:
    made = engine.create("sleep", "300", env={"OWN": "o"})
    yield made
    made.terminate()


def ran(process: modal.container_process.ContainerProcess) -> tuple[int, str, str]:
    return process.wait(), process.stdout.read(), process.stderr.read()


def test_variables_secrets_and_workdir(engine: Engine, sandbox: modal.Sandbox) -> None:
    name = f"secret-{time.monotonic_ns()}"
    modal.Secret.objects.create(name, {"NAMED": "n"}, client=engine.client)
    secrets = [modal.Secret.from_dict({"INLINE": "i"}), modal.Secret.from_name(name, client=engine.client)]
    script = 'echo "$OWN $GIVEN $INLINE $NAMED ${NONE-unset}"; pwd'
    process = sandbox.exec(
        "sh", "-c", script, env={"GIVEN": "g", "NONE": None}, secrets=secrets, workdir="/srv"
    )
    assert ran(process) == (0, "o g i n unset\n/srv\n", "")


def test_bytes_come_as_they_are(sandbox: modal.Sandbox) -> None:
    process = sandbox.exec("sh", "-c", r"printf '\377\000a'; cat", text=False)
    process.stdin.write(b"\xfe" * 3_000_000)
    process.stdin.write_eof()
    process.stdin.drain()
    assert process.stdout.read() == b"\xff\0a" + b"\xfe" * 3_000_000
    assert process.wait() == 0


def test_lines_come_as_they_are_printed(sandbox: modal.Sandbox) -> None:
    process = sandbox.exec("sh", "-c", "echo one; read word; echo $word; printf three", bufsize=1)
    lines = iter(process.stdout)
    assert next(lines) == "one\n"
    process.stdin.write("two\n")
    process.stdin.drain()
    assert list(lines) == ["two\n", "three"]


def test_output_can_be_left_or_shown_here(sandbox: modal.Sandbox, capfd: pytest.CaptureFixture[str]) -> None:
    script = "echo out; echo err >&2"
    assert sandbox.exec("sh", "-c", script, stdout=StreamType.DEVNULL, stderr=StreamType.DEVNULL).wait() == 0
    assert sandbox.exec("sh", "-c", script, stdout=StreamType.STDOUT, stderr=StreamType.STDOUT).wait() == 0
    shown: list[str] = []
    wait_until(lambda: shown.extend(capfd.readouterr().out.split()) or len(shown) >= 2)  # after the end, even
    assert shown in (["out", "err"], ["err", "out"])


def test_a_terminal_is_a_terminal(sandbox: modal.Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "vt220")
    script = "test -t 0 && test -t 1 && stty size; echo err >&2; echo $TERM"
    assert ran(sandbox.exec("sh", "-c", script, pty=True)) == (0, "24 80\r\nerr\r\nvt220\r\n", "")


def test_a_terminal_of_ones_own(engine: Engine) -> None:
    sandbox = engine.create("sh", "-c", "test -t 0 && stty size; echo $TERM; echo err >&2", pty=True)
    assert sandbox.stdout.read() == "24 80\r\nxterm-256color\r\nerr\r\n"
    assert sandbox.stderr.read() == ""


def test_one_that_takes_too_long_is_ended_alone(sandbox: modal.Sandbox) -> None:
    process = sandbox.exec("sh", "-c", "echo $$ > /tmp/pid; echo begun; sleep 60", timeout=1)
    assert process.stdout.read() == "begun\n"
    assert process.wait() == -1  # the SDK's own clock has its say
    assert sandbox.exec("sh", "-c", "kill -0 $(cat /tmp/pid)").wait() != 0
    assert sandbox.poll() is None


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (("sh", "-c", "exit 200"), 200, ""),
        (("sh", "-c", "kill -9 $$"), 137, ""),
        (("/no/such/program",), 127, "/no/such/program: No such file or directory\n"),
        (("/etc/passwd",), 127, "/etc/passwd: Permission denied\n"),
    ],
    ids=["code", "signal", "missing", "no program"],
)
def test_how_one_ended_is_told(sandbox: modal.Sandbox, argv: tuple[str, ...], code: int, said: str) -> None:
    assert ran(sandbox.exec(*argv)) == (code, "", said)


def test_a_workdir_that_does_not_exist_is_told(sandbox: modal.Sandbox) -> None:
    assert ran(sandbox.exec("pwd", workdir="/no/such")) == (127, "", "/no/such: No such file or directory\n")
    with pytest.raises(InvalidError):
        sandbox.exec("pwd", workdir="relative")


def test_one_is_polled_until_it_ends(sandbox: modal.Sandbox) -> None:
    process = sandbox.exec("cat")
    assert process.poll() is None
    process.stdin.write_eof()
    process.stdin.drain()
    assert process.wait() == 0
    assert process.poll() == 0


@both_versions
def test_nothing_runs_after_the_end(engine: Engine, options: dict[str, str]) -> None:
    sandbox = engine.create("sleep", "300", **options)
    assert sandbox.exec("true").wait() == 0
    assert sandbox.terminate(wait=True) == 137
    for handle in (sandbox, engine.get(sandbox.object_id)):
        with pytest.raises(NotFoundError):
            handle.exec("true")
