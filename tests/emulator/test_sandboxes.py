"""What a sandbox of the local engine does, as the official SDK sees it."""

from __future__ import annotations

import os
import socket
import uuid
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import modal
import pytest
from modal.exception import (
    AlreadyExistsError,
    ConflictError,
    InvalidError,
    NotFoundError,
    SandboxTerminatedError,
    SandboxTimeoutError,
)

from support.engine import wait_until

if TYPE_CHECKING:
    from support.engine import Engine

both_versions = pytest.mark.parametrize("options", [{}, {"gpu": "H100"}], ids=["v2", "v1"])


def word() -> str:
    return uuid.uuid4().hex[:12]


@both_versions
def test_output_and_exit_code_reach_the_caller(engine: Engine, options: dict[str, str]) -> None:
    sandbox = engine.create("sh", "-c", "echo out; echo err >&2; exit 7", **options)
    assert sandbox.stdout.read() == "out\n"
    assert sandbox.stderr.read() == "err\n"
    sandbox.wait()
    assert sandbox.returncode == 7


@both_versions
def test_output_arrives_while_it_runs(engine: Engine, options: dict[str, str]) -> None:
    sandbox = engine.create("sh", "-c", "echo first; read line; echo got $line", **options)
    lines = iter(sandbox.stdout)
    assert next(lines) == "first\n"
    sandbox.stdin.write("it\n")
    sandbox.stdin.write_eof()
    sandbox.stdin.drain()
    assert next(lines) == "got it\n"


@both_versions
def test_a_program_may_exit_as_if_timed_out_or_terminated(engine: Engine, options: dict[str, str]) -> None:
    for code in (124, 137):
        sandbox = engine.create("sh", "-c", f"exit {code}", **options)
        sandbox.wait()
        assert sandbox.returncode == code


@both_versions
def test_a_timeout_is_told_apart(engine: Engine, options: dict[str, str]) -> None:
    sandbox = engine.create("sleep", "60", timeout=1, **options)
    with pytest.raises(SandboxTimeoutError):
        sandbox.wait()
    assert sandbox.returncode == 124
    with pytest.raises(SandboxTimeoutError):
        engine.get(sandbox.object_id).wait()


@both_versions
def test_a_termination_is_told_apart(engine: Engine, options: dict[str, str]) -> None:
    sandbox = engine.create("sleep", "60", **options)
    sandbox.terminate()
    with pytest.raises(SandboxTerminatedError):
        sandbox.wait()
    again = engine.get(sandbox.object_id)
    assert again.returncode == 137
    again.terminate()


@both_versions
def test_finished_ones_are_not_listed_but_still_answer(engine: Engine, options: dict[str, str]) -> None:
    tag = word()
    sandbox = engine.create("sh", "-c", "read x; echo bye", tags={"mark": tag}, **options)
    assert engine.listed(mark=tag) == [sandbox.object_id]
    sandbox.stdin.write_eof()
    sandbox.stdin.drain()
    sandbox.wait()
    assert engine.listed(mark=tag) == []
    again = engine.get(sandbox.object_id)
    assert again.poll() == 0
    assert again.stdout.read() == "bye\n"
    assert [entry.message for entry in again.logs.tail(5)] == ["bye\n"]
    assert again.get_tags() == {"mark": tag}


def test_a_command_that_does_not_exist_is_an_end_of_its_own(engine: Engine) -> None:
    sandbox = engine.create("/no/such/program")
    sandbox.wait()
    assert sandbox.returncode not in {0, None}


@both_versions
def test_a_name_is_taken_while_its_sandbox_runs(engine: Engine, options: dict[str, str]) -> None:
    name = f"name-{word()}"
    first = engine.create("sleep", "60", name=name, **options)
    with pytest.raises(AlreadyExistsError):
        engine.create("true", name=name)
    found = modal.Sandbox.from_name("tests", name, client=engine.client)
    assert found.object_id == first.object_id
    first.terminate()
    first.wait(raise_on_termination=False)
    with pytest.raises(NotFoundError):
        modal.Sandbox.from_name("tests", name, client=engine.client)
    engine.create("true", name=name).wait()


def test_the_latest_finished_one_of_a_name_can_be_found(engine: Engine) -> None:
    name = f"name-{word()}"
    for _ in range(2):
        last = engine.create("true", name=name)
        last.wait()
    found = modal.Sandbox.from_name("tests", name, include_terminated=True, client=engine.client)
    assert found.object_id == last.object_id


def test_names_are_free_in_another_app(engine: Engine) -> None:
    other = modal.App.lookup(f"app-{word()}", create_if_missing=True, client=engine.client)
    name = f"name-{word()}"
    sandboxes = [engine.create("sleep", "60", name=name, app=app) for app in (engine.app, other)]
    assert len({sandbox.object_id for sandbox in sandboxes}) == 2
    for sandbox in sandboxes:
        sandbox.terminate()


def test_tags_filter_by_all_of_them_and_can_be_replaced(engine: Engine) -> None:
    mark = word()
    one = engine.create("sleep", "60", tags={"mark": mark, "n": "1"})
    two = engine.create("sleep", "60", tags={"mark": mark, "n": "2"})
    assert engine.listed(mark=mark) == [two.object_id, one.object_id]
    assert engine.listed(mark=mark, n="1") == [one.object_id]
    one.set_tags({"mark": mark, "n": "3"})
    assert engine.listed(mark=mark, n="1") == []
    assert one.get_tags() == {"mark": mark, "n": "3"}
    for sandbox in (one, two):
        sandbox.terminate()


def test_a_list_of_many_takes_its_pages_and_one_more_call(engine: Engine) -> None:
    mark = word()
    made = [engine.create("sleep", "300", tags={"mark": mark}) for _ in range(12)]
    engine.clear_calls()
    assert engine.listed(mark=mark) == [sandbox.object_id for sandbox in reversed(made)]
    assert engine.calls() == {"SandboxListV2": 2}
    for sandbox in made:
        sandbox.terminate()


def test_an_unknown_id_is_not_found(engine: Engine) -> None:
    for sandbox_id in ("sb-nothing", "sb-" + "a" * 22, "garbage", "sb-../../etc/passwd"):
        with pytest.raises(NotFoundError):
            engine.get(sandbox_id)


def test_an_unknown_app_is_not_found(engine: Engine) -> None:
    with pytest.raises(NotFoundError):
        modal.App.lookup(f"app-{word()}", client=engine.client)


def test_a_workdir_and_variables_reach_the_command(engine: Engine) -> None:
    image = modal.Image.debian_slim().env({"FROM_IMAGE": "an image's word"}).workdir("/srv/here")
    code, output = engine.run(
        "sh", "-c", 'pwd; echo "$FROM_IMAGE/$FROM_ENV/$FROM_SECRET"', image=image, env={"FROM_ENV": "e"},
        secrets=[modal.Secret.from_dict({"FROM_SECRET": "s"})],
    )  # fmt: skip
    assert (code, output) == (0, "/srv/here\nan image's word/e/s\n")


def test_an_argument_the_kernel_would_not_take_is_refused_before_anything_is_made(engine: Engine) -> None:
    with pytest.raises(InvalidError):
        engine.create("echo", "€" * 50_000)


@both_versions
def test_logs_can_be_had_by_time_and_source(engine: Engine, options: dict[str, str]) -> None:
    before = datetime.now(UTC)
    script = "echo one; echo two >&2; read go; echo three"
    sandbox = engine.create("sh", "-c", script, **options)
    wait_until(lambda: {entry.message for entry in sandbox.logs.fetch(since=before)} == {"one\n", "two\n"})
    sandbox.stdin.write("go\n")
    sandbox.stdin.drain()
    sandbox.wait()
    entries = list(sandbox.logs.fetch(since=before))
    assert {(entry.source, entry.message) for entry in entries} == {
        ("stdout", "one\n"), ("stderr", "two\n"), ("stdout", "three\n"),
    }  # fmt: skip
    stamps = [entry.timestamp for entry in entries]
    assert stamps == sorted(stamps)
    assert [entry.message for entry in sandbox.logs.fetch(since=before, source="stderr")] == ["two\n"]
    assert [entry.message for entry in sandbox.logs.fetch(since=stamps[-1] - timedelta(microseconds=1))] == [
        "three\n"
    ]
    assert [entry.message for entry in sandbox.logs.tail(1)] == ["three\n"]


@both_versions
def test_many_lines_arrive_whole_and_in_order(engine: Engine, options: dict[str, str]) -> None:
    count = 20_000
    sandbox = engine.create("seq", "1", str(count), **options)
    expected = "".join(f"{number}\n" for number in range(1, count + 1))
    assert sandbox.stdout.read() == expected
    since = datetime.now(UTC) - timedelta(minutes=1)
    assert "".join(entry.message for entry in sandbox.logs.fetch(since=since)) == expected


@both_versions
def test_characters_cut_by_a_pipe_stay_whole(engine: Engine, options: dict[str, str]) -> None:
    script = r"printf '\342\202'; sleep 0.2; printf '\254'; sleep 0.2; printf 'x'"
    sandbox = engine.create("sh", "-c", script, **options)
    assert sandbox.stdout.read() == "€x"
    since = datetime.now(UTC) - timedelta(minutes=1)
    assert "".join(entry.message for entry in sandbox.logs.fetch(since=since)) == "€x"


def test_bytes_that_are_no_text_do_not_break_the_logs(engine: Engine) -> None:
    sandbox = engine.create("sh", "-c", r"printf 'a\377b'")
    sandbox.wait()
    assert [entry.message for entry in sandbox.logs.tail(5)] == ["a�b"]


@both_versions
def test_a_command_runs_beside_the_sandboxes_own(engine: Engine, options: dict[str, str]) -> None:
    sandbox = engine.create("sleep", "300", env={"INSIDE": "yes"}, **options)
    process = sandbox.exec(
        "sh", "-c", 'echo "$INSIDE $MORE $(pwd)"; cat; exit 3', env={"MORE": "too"}, workdir="/tmp"
    )
    process.stdin.write("fed")
    process.stdin.write_eof()
    process.stdin.drain()
    assert process.stdout.read() == "yes too /tmp\nfed"
    assert process.wait() == 3
    assert process.poll() == 3
    sandbox.terminate()


def test_a_call_that_is_repeated_is_done_once(engine: Engine) -> None:
    mark = word()
    for call in ("SandboxCreateV2", "SandboxCreate"):
        engine.set_faults({"call": call, "action": "lose_answer", "times": 1})
        sandbox = engine.create(
            "sleep", "60", tags={"mark": mark, "call": call}, **({} if "V2" in call else {"gpu": "H100"})
        )
        assert engine.listed(mark=mark, call=call) == [sandbox.object_id]
        sandbox.terminate()


@pytest.mark.parametrize("options", [{}, {"gpu": "H100"}, {"pty": True}], ids=["v2", "v1", "terminal"])
def test_a_command_that_does_not_exist_ends_as_one_in_it_does(
    engine: Engine, options: dict[str, object]
) -> None:
    sandbox = engine.create("no-such-command", "x", **options)
    sandbox.wait()
    said = (sandbox.stdout if "pty" in options else sandbox.stderr).read()
    assert (sandbox.returncode, said.strip()) == (127, "no-such-command: No such file or directory")
    other = engine.create("sleep", "60")
    process = other.exec("no-such-command", "x")
    assert (process.wait(), process.stderr.read().strip()) == (127, said.strip())
    other.terminate()


def test_what_is_not_served_is_named(engine: Engine) -> None:
    with pytest.raises(modal.exception.Error, match="DictGetOrCreate"):
        modal.Dict.from_name("d", create_if_missing=True, client=engine.client).hydrate()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"_experimental_enable_snapshot": True}, "memory snapshots"),
        ({"experimental_options": {"enable_exit_snapshot": True}}, "exit snapshots"),
        ({"experimental_options": {"something": "new"}}, "experimental options"),
        ({"include_oidc_identity_token": True}, "identity tokens"),
        ({"custom_domain": "example.org"}, "custom domains"),
        ({"inbound_cidr_allowlist": ["10.0.0.0/8"]}, "who may connect"),
        ({"outbound_cidr_allowlist": ["10.0.0.0/8"]}, "what may be reached"),
        ({"outbound_domain_allowlist": ["example.org"]}, "what may be reached"),
        ({"outbound_cidr_allowlist": [], "unencrypted_ports": [8000]}, "what may be reached"),
        ({"block_network": True, "readiness_probe": modal.Probe.with_tcp(80)}, "without a network"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_option_that_is_not_served_is_refused_rather_than_ignored(
    engine: Engine, options: dict[str, object], named: str
) -> None:
    with pytest.raises(modal.exception.UnimplementedError, match=named):
        engine.create("sleep", "60", **options)


@pytest.mark.parametrize(
    "lists",
    [
        {"outbound_cidr_allowlist": ["0.0.0.0/0"]},
        {"outbound_domain_allowlist": ["*"]},
        {"inbound_cidr_allowlist": ["0.0.0.0/0"]},
    ],
    ids=["addresses", "names", "callers"],
)
def test_a_list_of_all_there_is_keeps_nothing_from_it(engine: Engine, lists: dict[str, list[str]]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        reach = f"import socket; socket.create_connection(('127.0.0.1', {server.getsockname()[1]}))"
        assert engine.run("python3", "-c", reach, **lists) == (0, "")


@pytest.mark.parametrize(
    "options",
    [{"block_network": True}, {"outbound_cidr_allowlist": []}, {"outbound_domain_allowlist": []}],
    ids=["blocked", "no address", "no name"],
)
def test_the_network_can_be_kept_from_it(engine: Engine, options: dict[str, object]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        reach = f"import socket; socket.create_connection(('127.0.0.1', {server.getsockname()[1]}))"
        sandbox = engine.create("sleep", "60", **options)
        assert sandbox.exec("python3", "-c", reach).wait() == 1
        own = (
            "import socket as s; o = s.create_server(('127.0.0.1', 0)); s.create_connection(o.getsockname())"
        )
        assert sandbox.exec("python3", "-c", own).wait() == 0
        sandbox.terminate()
        assert engine.run("python3", "-c", reach) == (0, "")


def test_a_name_can_come_later_once(engine: Engine) -> None:
    name, other = f"name-{word()}", f"name-{word()}"
    first, second = (engine.create("sleep", "60") for _ in range(2))
    for _ in range(2):
        first._experimental_set_name(name)
    assert modal.Sandbox.from_name("tests", name, client=engine.client).object_id == first.object_id
    with pytest.raises(ConflictError):
        first._experimental_set_name(other)
    with pytest.raises(AlreadyExistsError):
        second._experimental_set_name(name)
    first.terminate(wait=True)
    second._experimental_set_name(name)
    assert modal.Sandbox.from_name("tests", name, client=engine.client).object_id == second.object_id
    second.terminate()


def test_the_end_frees_what_a_sandbox_wrote(engine: Engine) -> None:
    sandbox = engine.create("sh", "-c", "head -c 3000000 /dev/zero > /root/big")
    sandbox.wait()
    folder = engine.state / "sandboxes" / sandbox.object_id
    wait_until(lambda: size_of(folder) < 1_000_000)


def size_of(folder: Path) -> int:
    """The bytes of all files below a folder, of which some may go meanwhile."""
    total = 0
    for inside, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                total += Path(inside, name).lstat().st_size
    return total
