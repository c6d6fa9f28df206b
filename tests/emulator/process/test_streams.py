"""What a process prints is kept, byte for byte; what is written to it arrives."""

from __future__ import annotations

import hashlib
import os

import pytest

from trebuchet.emulator.process.errors import NotRunningError
from trebuchet.emulator.process.limits import Limits
from trebuchet.emulator.process.log import NOTICE


def test_the_two_streams_are_kept_apart_and_in_order(run_script):
    ended = run_script("for n in 1 2 3; do echo out$n; echo err$n >&2; done")
    assert ended.stdout == b"out1\nout2\nout3\n"
    assert ended.stderr == b"err1\nerr2\nerr3\n"


def test_bytes_that_are_no_text_arrive_as_they_are(run_script):
    ended = run_script(r"printf '\xff\xfe\x00\x80caf\xe9\r\n'")
    assert ended.stdout == b"\xff\xfe\x00\x80caf\xe9\r\n"


def test_a_line_of_ten_megabytes_arrives_whole(run_script):
    ended = run_script("head -c 10000000 /dev/zero | tr '\\0' x; echo")
    assert hashlib.sha256(ended.stdout).digest() == hashlib.sha256(b"x" * 10_000_000 + b"\n").digest()


def test_output_is_complete_however_soon_the_process_ends(run_script):
    ended = run_script("seq 1 200000; seq 1 1000 >&2; exit 3")
    assert ended.stdout.splitlines()[-1] == b"200000"
    assert ended.stderr.splitlines()[-1] == b"1000"
    assert ended.state.exit_code == 3


def test_records_carry_strictly_increasing_times_and_offsets_to_go_on_from(drive):
    async def body(sandboxes):
        ended = await sandboxes.run("for n in $(seq 200); do echo $n; done")
        offset, times, data = 0, [], b""
        while True:
            records, offset = sandboxes.host.read_log(ended.folder, offset, limit=1)
            if not records:
                break
            assert len(records) == 1
            times.append(records[0].timestamp_ns)
            data += records[0].data
        assert times == sorted(set(times))
        assert data == ended.stdout

    drive(body)


def test_a_full_log_says_so_and_does_not_stop_the_process(drive):
    async def body(sandboxes):
        ended = await sandboxes.run("head -c 3000000 /dev/zero; echo done >&2; exit 4")
        assert ended.state.exit_code == 4
        assert len(ended.stdout) <= 1_000_000
        assert b"limit" in ended.notices
        assert ended.notices.count(b"\n") == 1

    drive(body, limits=Limits(log_bytes=1_000_000))


def test_standard_input_arrives_and_ends(drive):
    async def body(sandboxes):
        folder = await sandboxes.start("sha256sum; echo after")
        sent = bytes(range(256)) * 8000
        for start in range(0, len(sent), 300_000):
            await sandboxes.host.write_stdin(folder, sent[start : start + 300_000])
        await sandboxes.host.write_stdin(folder, b"", eof=True)
        ended = await sandboxes.ended(folder)
        assert ended.stdout.startswith(hashlib.sha256(sent).hexdigest().encode())
        assert ended.stdout.endswith(b"after\n")

    drive(body)


def test_input_after_its_end_or_after_the_process_is_refused(drive):
    async def body(sandboxes):
        closed = await sandboxes.start("cat; sleep 1000")
        await sandboxes.host.write_stdin(closed, b"", eof=True)
        with pytest.raises(NotRunningError):
            await sandboxes.host.write_stdin(closed, b"more")
        sandboxes.host.terminate(closed)
        ended = await sandboxes.run("true")
        with pytest.raises(NotRunningError):
            await sandboxes.host.write_stdin(ended.folder, b"more")

    drive(body)


def test_a_terminal_echoes_and_has_a_size_that_can_change(drive):
    async def body(sandboxes):
        folder = await sandboxes.start("stty size; read answer; stty size; echo got $answer", pty=(10, 20))
        await sandboxes.printed(folder, b"10 20")
        sandboxes.host.resize(folder, 30, 40)
        await sandboxes.host.write_stdin(folder, b"yes\n")
        ended = await sandboxes.ended(folder)
        assert b"30 40" in ended.stdout
        assert ended.stdout.endswith(b"got yes\r\n")

    drive(body)


def test_a_full_disk_loses_output_and_says_how_much_but_stops_nothing(tmp_path):
    from trebuchet.emulator.process.log import read_records
    from trebuchet.emulator.process.supervise.recorder import Recorder

    recorder = Recorder(str(tmp_path / "log"), 1 << 30)
    recorder.append(1, b"before")
    disk, recorder._descriptor = recorder._descriptor, os.open("/dev/full", os.O_WRONLY)
    recorder.append(1, b"lost")
    recorder._descriptor = disk
    recorder.append(1, b"after")
    records, _ = read_records(tmp_path / "log", 0, 1 << 20)
    assert [record.data for record in records if record.stream != NOTICE] == [b"before", b"after"]
    assert any(b"4 bytes" in record.data for record in records if record.stream == NOTICE)
