"""What a job leaves behind, from the command line, on a real engine."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("home")

SCRIPT = """
test "$TREBUCHET_OUTPUTS" = /outputs
mkdir -p extra/deep; echo deep > extra/deep/f; echo other > /tmp/other.txt; : > /outputs/empty
head -c 20000000 /dev/urandom > /outputs/big.bin; sha256sum /outputs/big.bin | cut -d' ' -f1
"""


@pytest.fixture
def left(trebuchet: Callable[..., Any], job_file: Callable[..., str]) -> tuple[str, str]:
    """A finished job's key, and the digest of the large file it left."""
    key = trebuchet("up", job_file(SCRIPT, outputs=["extra", "/tmp/other.txt"]), "-d", "-q").out.strip()
    answer = trebuchet("logs", "-f", key)
    trebuchet("wait", key)
    return key, answer.out.strip()


def test_outputs_are_listed_pulled_printed_and_deleted(
    trebuchet: Callable[..., Any], left: tuple[str, str], tmp_path: Path
) -> None:
    key, digest = left
    listed = {one["path"]: one["size"] for one in trebuchet("outputs", key, "--json").json if not one["dir"]}
    assert listed == {"big.bin": 20_000_000, "empty": 0, "extra/deep/f": 5, "other.txt": 6}

    assert trebuchet("pull", key, "", "here").code == 0
    found = {
        str(path.relative_to(tmp_path / "here")) for path in (tmp_path / "here").rglob("*") if path.is_file()
    }
    assert found == set(listed)
    assert hashlib.sha256((tmp_path / "here/big.bin").read_bytes()).hexdigest() == digest

    assert trebuchet("pull", key, "extra/deep").code == 0
    assert (tmp_path / "deep/f").read_text() == "deep\n"
    assert trebuchet("pull", key, "other.txt", "mine.txt").code == 0
    assert (tmp_path / "mine.txt").read_text() == "other\n"
    assert trebuchet("cat", key, "extra/deep/f").out == "deep\n"

    assert trebuchet("rm", key).code != 0  # nobody answers its question
    assert trebuchet("outputs", key, "--json").json
    assert trebuchet("rm", "-y", key).code == 0
    assert trebuchet("outputs", key, "--json").json == []


def test_a_log_says_that_its_archive_was_deleted(
    trebuchet: Callable[..., Any], job_file: Callable[..., str]
) -> None:
    key = trebuchet("up", job_file("echo said"), "-d", "--json").json["key"]
    assert "deleted" not in trebuchet("logs", "-f", key).err
    assert trebuchet("rm", "-y", key).code == 0
    assert f"the archived log of {key} was deleted" in trebuchet("logs", key).err
    assert "removed" in trebuchet("events", key).out


def test_a_running_job_keeps_its_outputs(trebuchet: Callable[..., Any], job_file: Callable[..., str]) -> None:
    key = trebuchet("up", job_file("echo x >/outputs/x; sleep 600"), "-d", "--json").json["key"]
    answer = trebuchet("rm", "-y", key)
    assert (answer.code, "has not ended" in answer.err) == (201, True)
    trebuchet("cancel", key)
    assert trebuchet("rm", "-y", key).code == 0


def test_a_pull_that_is_asked_for_again_brings_what_is_missing(
    trebuchet: Callable[..., Any], left: tuple[str, str], tmp_path: Path
) -> None:
    key, _ = left
    trebuchet("pull", key, "", "here")
    kept = (tmp_path / "here/big.bin").stat().st_ino
    (tmp_path / "here/other.txt").unlink()
    (tmp_path / "here/extra/deep/f").write_text("changed here")
    assert trebuchet("pull", key, "", "here").code == 0
    assert (tmp_path / "here/other.txt").read_text() == "other\n"
    assert (tmp_path / "here/extra/deep/f").read_text() == "deep\n"
    assert (tmp_path / "here/big.bin").stat().st_ino == kept
    assert not list((tmp_path / "here").rglob(".*"))


def test_a_job_sees_only_its_own_outputs(
    trebuchet: Callable[..., Any], job_file: Callable[..., str], left: tuple[str, str]
) -> None:
    assert trebuchet("up", job_file("ls -A /outputs")).out == ""


def test_outputs_can_be_turned_off(trebuchet: Callable[..., Any], job_file: Callable[..., str]) -> None:
    answer = trebuchet(
        "up", job_file('ls -d /outputs 2>/dev/null; echo "<$TREBUCHET_OUTPUTS>"', outputs=False)
    )
    assert answer.out == "<>\n"


@pytest.mark.parametrize("path", ["../secrets", "nothing", "extra/../../x"])
def test_what_is_not_there_is_an_error(
    trebuchet: Callable[..., Any], left: tuple[str, str], path: str, tmp_path: Path
) -> None:
    for answer in (trebuchet("pull", left[0], path, "x"), trebuchet("cat", left[0], path)):
        assert answer.code >= 200
        assert "error:" in answer.err
        assert not (tmp_path / "x").exists()


def test_a_folder_in_the_way_is_named(
    trebuchet: Callable[..., Any], left: tuple[str, str], tmp_path: Path
) -> None:
    (tmp_path / "here/other.txt").mkdir(parents=True)
    answer = trebuchet("pull", left[0], "", "here")
    assert (answer.code, answer.err.splitlines()[-1]) == (200, "error: here/other.txt: Is a directory")


def test_a_reader_of_a_file_may_leave(start: Callable[..., Any], left: tuple[str, str]) -> None:
    reading = start("cat", left[0], "big.bin")
    reading.stdout.close()
    assert (reading.wait(timeout=60), reading.stderr.read()) == (141, "")


def test_what_a_failed_job_left_is_kept_too(
    trebuchet: Callable[..., Any], job_file: Callable[..., str]
) -> None:
    key = trebuchet(
        "up", job_file("echo half > half.txt; exit 3", outputs=["half.txt"]), "-d", "-q"
    ).out.strip()
    assert trebuchet("wait", key).code == 3
    assert trebuchet("cat", key, "half.txt").out == "half\n"


def test_json_and_cursors_hand_a_log_on(trebuchet: Callable[..., Any], job_file: Callable[..., str]) -> None:
    key = trebuchet(
        "up", job_file("for i in 1 2 3 4; do echo line $i; sleep 0.05; done"), "-d", "-q"
    ).out.strip()
    trebuchet("wait", key)
    records = [json.loads(line) for line in trebuchet("logs", key, "--json").out.splitlines()]
    assert "".join(record["message"] for record in records) == "line 1\nline 2\nline 3\nline 4\n"
    rest = trebuchet("logs", key, "--cursor", records[1]["cursor"])
    assert rest.out == "".join(record["message"] for record in records[2:])
    assert rest.err == f"cursor: {records[-1]['cursor']}\n"
    again = trebuchet("logs", key, "--cursor", records[-1]["cursor"])
    assert (again.out, again.err) == ("", f"cursor: {records[-1]['cursor']}\n")


def test_several_logs_are_told_apart_and_filtered(
    trebuchet: Callable[..., Any], job_file: Callable[..., str], tmp_path: Path
) -> None:
    keys = [
        trebuchet("up", job_file(f"echo {name} one; printf '{name} two'"), "-d", "-q").out.strip()
        for name in "ab"
    ]
    shown = trebuchet("logs", "-f", *keys)
    jobs = [trebuchet("status", key, "--json").json[0]["key"] for key in keys]
    expected = {f"{jobs[0]} | a one", f"{jobs[0]} | a two", f"{jobs[1]} | b one", f"{jobs[1]} | b two"}
    assert set(shown.out.splitlines()) == expected
    assert trebuchet("logs", keys[0], "--grep", "tw").out == "a two"
    assert trebuchet("logs", keys[0], "--tail", "1").out == "a two"
    stamped = trebuchet("logs", keys[0], "-t").out.splitlines()
    assert [line.split(" ", 1)[1] for line in stamped] == ["a one", "a two"]
    trebuchet("logs", keys[0], "-o", "log.txt")
    assert (tmp_path / "log.txt").read_text() == "a one\na two"


def test_the_end_of_a_failed_job_shows_its_last_lines_and_what_to_type(
    trebuchet: Callable[..., Any], job_file: Callable[..., str]
) -> None:
    answer = trebuchet("up", job_file("seq 20; exit 3"))
    told = answer.err.splitlines()
    assert [line for line in told if line.startswith("  | ")] == [f"  | {i}" for i in range(11, 21)]
    assert "exit code 3" in answer.err
    assert "trebuchet logs" in told[-1]


def test_up_brings_the_outputs_home(
    trebuchet: Callable[..., Any], job_file: Callable[..., str], tmp_path: Path
) -> None:
    answer = trebuchet("up", job_file("echo 1 > /outputs/model"), "--pull", "home")
    assert answer.code == 0, answer.err
    assert (tmp_path / "home/model").read_text() == "1\n"
    assert trebuchet("up", job_file("true"), "--pull", "home", "-d").code == 201
