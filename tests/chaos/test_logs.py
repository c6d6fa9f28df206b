"""A log is whole, whoever dies while it is read."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from support.bench import bench_at
from support.engine import wait_until
from trebuchet.lifecycle.log_chain import archive_folder
from trebuchet.logs.archive import SUFFIX, Archive

if TYPE_CHECKING:
    from pathlib import Path

LINES = 200
SCRIPT = f"for i in $(seq {LINES}); do echo line $i; echo err $i >&2; sleep 0.02; done"


def test_followers_and_daemons_are_killed_in_the_middle(tmp_path: Path) -> None:
    with bench_at(tmp_path / "home") as bench:
        key = bench.up(SCRIPT).key
        for turn in range(2):
            with (tmp_path / str(turn)).open("wb") as sink:
                follower = follow(bench.home, key, sink.fileno())
                wait_until(lambda turn=turn: b"\nline " in (tmp_path / str(turn)).read_bytes())
                follower.send_signal(signal.SIGKILL)
                follower.wait()
            bench.engine.kill()
            bench.engine.start()

        entries = list(bench.launcher.logs(key, follow=True))
        for source, word in (("stdout", "line"), ("stderr", "err")):
            text = "".join(entry.message for entry in entries if entry.source == source)
            assert text == "".join(f"{word} {i}\n" for i in range(1, LINES + 1))

        archive = Archive(archive_folder(bench.home, key) / f"1{SUFFIX}")
        assert archive.survey().complete
        bench.engine.kill()
        assert list(bench.another().logs(key)) == entries
        bench.engine.start()


def test_a_follower_that_was_there_all_along_sees_no_gap_when_the_daemon_dies(tmp_path: Path) -> None:
    with bench_at(tmp_path / "home") as bench:
        key = bench.up(SCRIPT).key
        with (tmp_path / "out").open("wb") as sink:
            follower = follow(bench.home, key, sink.fileno())
            for line in (10, 60):
                wait_until(lambda line=line: f"line {line}\n".encode() in (tmp_path / "out").read_bytes())
                bench.engine.start()  # The follower may have brought it back already: this finds that one.
                bench.engine.kill()
            assert follower.wait(timeout=60) == 0
        assert (tmp_path / "out").read_text() == "".join(f"line {i}\n" for i in range(1, LINES + 1))


def follow(home: Path, key: str, sink: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "trebuchet", "logs", "-f", key],
        env={**os.environ, "TREBUCHET_HOME": str(home)},
        stdout=sink,
        stderr=subprocess.DEVNULL,
    )
