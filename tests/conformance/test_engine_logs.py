"""Every entry once, none missing, whoever asks and whenever."""

from __future__ import annotations

import itertools
import statistics
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import modal

    from conftest import Bench

NUMBERS = "for i in $(seq 300); do echo line $i; done"
EXPECTED = "".join(f"line {i}\n" for i in range(1, 301))


@pytest.fixture(params=[None, "H100"], ids=["V2", "V1"])
def gpu(request: pytest.FixtureRequest, bench: Bench) -> str | None:
    if request.param and bench.cloud == "modal":
        pytest.skip("a GPU on Modal costs money")
    return request.param


def test_a_finished_log_is_read_whole(bench: Bench, gpu: str | None) -> None:
    sandbox_id = bench.shell(NUMBERS, gpu=gpu)
    bench.wait(sandbox_id)
    bench.until(lambda: "line 300\n" in joined(bench, sandbox_id), "the last line arrives")

    assert joined(bench, sandbox_id) == EXPECTED


def test_it_is_the_same_from_the_time_of_launch_on(bench: Bench) -> None:
    since = datetime.now(UTC) - timedelta(minutes=5)
    sandbox_id = bench.shell(NUMBERS)
    bench.wait(sandbox_id)
    bench.until(lambda: "line 300\n" in joined(bench, sandbox_id), "the last line arrives")

    assert joined(bench, sandbox_id, since=since) == EXPECTED


def test_a_follower_gets_all_and_stops_at_the_end(bench: Bench, gpu: str | None) -> None:
    script = "for i in $(seq 300); do echo line $i; if [ $((i % 50)) = 0 ]; then sleep 0.3; fi; done"

    assert bench.text(bench.shell(script, gpu=gpu)) == EXPECTED


def test_a_follower_of_what_has_ended_already_gets_all(bench: Bench) -> None:
    sandbox_id = bench.shell(NUMBERS)
    bench.wait(sandbox_id)

    assert bench.text(sandbox_id) == EXPECTED


def test_a_silent_job_has_an_empty_log(bench: Bench) -> None:
    sandbox_id = bench.create("true")

    assert bench.text(sandbox_id) == ""
    assert joined(bench, sandbox_id) == ""


def test_streams_are_told_apart(bench: Bench) -> None:
    sandbox_id = one_by_one(bench, "echo out", "echo err >&2", "echo out again").object_id

    assert bench.text(sandbox_id) == "out\nerr\nout again\n"
    assert joined(bench, sandbox_id, source="stdout") == "out\nout again\n"
    assert joined(bench, sandbox_id, source="stderr") == "err\n"
    assert {entry.source for entry in bench.engine.logs(sandbox_id)} == {"stdout", "stderr"}


def test_times_are_aware_and_in_order(bench: Bench) -> None:
    sandbox_id = one_by_one(bench, "echo 1", "echo 2", "echo 3").object_id
    bench.wait(sandbox_id)

    times = [entry.timestamp for entry in bench.engine.logs(sandbox_id, follow=True)]
    assert len(times) == 3
    assert times == sorted(times)
    assert all(stamp.utcoffset() == timedelta(0) for stamp in times)


def test_since_leaves_out_what_came_before(bench: Bench) -> None:
    sandbox_id = one_by_one(bench, "echo early", "echo late").object_id
    early, late = (entry.timestamp for entry in bench.engine.logs(sandbox_id, follow=True))
    cut = early + (late - early) / 2

    assert joined(bench, sandbox_id, since=cut) == "late\n"
    assert bench.text(sandbox_id, since=cut) == "late\n"


def test_the_tail_is_the_end(bench: Bench) -> None:
    sandbox_id = one_by_one(bench, *(f"echo {number}" for number in range(1, 6))).object_id
    bench.wait(sandbox_id)
    bench.until(lambda: joined(bench, sandbox_id).endswith("5\n"), "the last line arrives")

    assert joined(bench, sandbox_id, tail=2) == "4\n5\n"
    assert bench.text(sandbox_id, tail=2) == "4\n5\n"


def test_a_follower_goes_on_after_the_tail(bench: Bench) -> None:
    sandbox = one_by_one(bench, "echo 1", "echo 2", "read go; echo 3")
    sandbox_id = sandbox.object_id
    bench.until(lambda: joined(bench, sandbox_id).endswith("2\n"), "it gets that far")

    entries = bench.engine.logs(sandbox_id, follow=True, tail=1)
    assert next(entries).message == "2\n"
    go_on(sandbox)
    assert "".join(entry.message for entry in entries) == "3\n"


def test_output_that_is_no_text_is_shown_as_well_as_can_be(bench: Bench) -> None:
    sandbox_id = bench.shell(r"printf 'a\xff\xfeb\x00c\r\n'; printf 'no newline at the end'")

    assert bench.text(sandbox_id) == "a\ufffd\ufffdb\x00c\r\nno newline at the end"


def test_letters_of_several_bytes_are_never_torn(bench: Bench) -> None:
    count = 200_000
    sandbox_id = bench.create("python3", "-c", f"import sys; sys.stdout.write('é日' * {count})")

    assert bench.text(sandbox_id) == "é日" * count


def test_a_long_line_arrives_whole(bench: Bench) -> None:
    sandbox_id = bench.create("python3", "-c", "print('x' * 5_000_000)")

    assert sum(len(entry.message) for entry in bench.engine.logs(sandbox_id, follow=True)) == 5_000_001


def test_what_is_printed_is_soon_there(bench: Bench) -> None:
    if bench.cloud == "modal":
        pytest.skip("bounded by the polling interval")
    script = "import time\nfor _ in range(15): print(time.time(), flush=True); time.sleep(0.15)"
    entries = bench.engine.logs(bench.create("python3", "-c", script), follow=True)
    late = [time.time() - float(entry.message) for entry in entries]

    assert len(late) == 15
    assert statistics.median(late) < 0.3


def test_the_first_entry_of_a_long_log_comes_before_the_last_is_read(bench: Bench) -> None:
    script = "import sys\nfor _ in range(2000): sys.stdout.write('x' * 20_000 + chr(10))"
    sandbox_id = bench.create("python3", "-c", script)
    bench.wait(sandbox_id)

    first = list(itertools.islice(bench.engine.logs(sandbox_id), 1))

    assert first[0].message.startswith("x")


def one_by_one(bench: Bench, *commands: str) -> modal.Sandbox:
    """A sandbox that runs each command when what the one before has printed, a line, is in the log."""
    sandbox = bench.engine.handle(bench.shell("; read go; ".join(commands)))
    for lines in range(1, len(commands)):
        bench.until(lambda lines=lines: joined(bench, sandbox.object_id).count("\n") == lines, "a line")
        go_on(sandbox)
    return sandbox


def go_on(sandbox: modal.Sandbox) -> None:
    sandbox.stdin.write("go\n")
    sandbox.stdin.drain()


def joined(bench: Bench, sandbox_id: str, **options: object) -> str:
    return "".join(entry.message for entry in bench.engine.logs(sandbox_id, **options))  # pyright: ignore
