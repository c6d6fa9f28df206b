from __future__ import annotations

import json
import math
from datetime import UTC, datetime

import pytest

from trebuchet.cli.progress import progress_of
from trebuchet.cli.render import duration, print_statuses, status_record, summary, table
from trebuchet.cli.sizes import size
from trebuchet.status import JobState, JobStatus, Phase, Reason
from trebuchet.uploads import Sent

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC).timestamp()


def made(**fields: object) -> JobStatus:
    return JobStatus(
        **{
            "name": "train",
            "id": "sb-1",
            "cluster": "sb-1",
            "state": JobState.RUNNING,
            "key": "abc",
            **fields,
        }  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (-1, "0.0s"),
        (0.26, "0.3s"),
        (9.96, "10.0s"),
        (12.4, "12s"),
        (60, "1m 00s"),
        (3_599.6, "1h 00m"),
        (3_725, "1h 02m"),
        (200_000, "2d 07h"),
    ],
)
def test_a_duration_has_its_two_largest_units(seconds: float, told: str) -> None:
    assert duration(seconds) == told


def test_a_column_that_says_nothing_is_left_out() -> None:
    assert table(("A", "B", "C"), [("1", "-", "x"), ("22", "", "y")]) == "A   C\n1   x\n22  y"


def test_json_has_the_field_names_of_job_status_and_iso_times() -> None:
    status = made(
        state=JobState.FAILED,
        reason=Reason.SETUP_FAILED,
        exit_code=3,
        phase=Phase.SETUP,
        attempt=1,
        submit_time=NOW,
    )
    record = json.loads(json.dumps(status_record(status)))
    assert set(JobStatus.__dataclass_fields__) | {"status", "done"} == set(record)
    assert record["state"] == "FAILED"
    assert record["reason"] == "setup_failed"
    assert record["phase"] == "setup"
    assert record["status"] == "FAILED (setup_failed)"
    assert record["done"] is True
    assert datetime.fromisoformat(record["submit_time"]).timestamp() == NOW
    assert record["end_at"] is None


@pytest.mark.parametrize("when", [math.inf, math.nan, 1e12])
def test_a_time_that_has_no_date_is_null_in_json(when: float) -> None:
    assert status_record(made(start_at=when))["start_at"] is None


def test_json_of_no_jobs_is_an_empty_array(capsys: pytest.CaptureFixture[str]) -> None:
    print_statuses([], "json", now=NOW)
    assert json.loads(capsys.readouterr().out) == []


def test_quiet_prints_ids_alone(capsys: pytest.CaptureFixture[str]) -> None:
    print_statuses([made(), made(id="sb-2")], "quiet", now=NOW)
    assert capsys.readouterr().out == "sb-1\nsb-2\n"


def test_a_name_cannot_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    print_statuses([made(name="a\x1b[2Jb\nc", cluster="x\ry")], None, now=NOW)
    out = capsys.readouterr().out
    assert "\x1b[2J" not in out
    assert "a?[2Jb?c" in out
    assert len(out.splitlines()) == 2


def test_a_pending_job_says_what_it_waits_for(capsys: pytest.CaptureFixture[str]) -> None:
    waiting = made(state=JobState.PENDING, metadata=json.dumps({"cloud": "modal", "waiting_for": "H100:8"}))
    print_statuses([waiting], None, now=NOW)
    assert "waits for H100:8" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"state": JobState.SUCCEEDED, "exit_code": 0}, "SUCCEEDED train (abc): exit code 0, 12s"),
        (
            {"state": JobState.FAILED, "exit_code": 2, "reason": Reason.SETUP_FAILED},
            "FAILED train (abc): setup failed, exit code 2, 12s",
        ),
        (
            {"state": JobState.FAILED, "exit_code": 9, "reason": Reason.EXIT},
            "FAILED train (abc): exit code 9, 12s",
        ),
        (
            {"state": JobState.CANCELLED, "reason": Reason.CANCELLED},
            "CANCELLED train (abc): no exit code, 12s",
        ),
    ],
)
def test_the_last_line_says_state_reason_exit_code_and_duration(fields: dict[str, object], line: str) -> None:
    from click import unstyle

    times = {"start_at": NOW, "end_at": NOW + 12}
    assert unstyle(summary(made(**fields, **times), now=NOW)) == line


def test_a_transfer_is_shown_with_its_files_bytes_and_rate() -> None:
    whole = Sent(files=20_000, bytes=40_000_000)
    begun = progress_of(Sent(files=5_000, bytes=2_000_000, of=whole), 0.5)
    assert begun == f"sending {'━' * 5}{'─' * 15} 5,000 of 20,000 files there, 2 MB of 40 MB sent"
    later = progress_of(Sent(files=0, bytes=30_000_000, of=Sent(files=1, bytes=40_000_000)), 10.0)
    assert later == f"sending {'━' * 15}{'─' * 5} 0 of 1 files there, 30 MB of 40 MB sent, 3 MB/s"
    assert "0 of 0 files" in progress_of(Sent(files=0, bytes=0), 1.0)


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 bytes"), (1, "1 byte"), (999, "999 bytes"), (1_000, "1 kB"), (12_345, "12.3 kB"),
        (123_456, "123 kB"), (999_499, "999 kB"), (999_600, "1 MB"), (5 * 10**15, "5000 TB"),
    ],
)  # fmt: skip
def test_bytes_are_shown_in_the_unit_that_suits_them(count: int, shown: str) -> None:
    assert size(count) == shown
