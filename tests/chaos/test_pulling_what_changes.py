"""Outputs that a job goes on writing, rewriting and removing while they are brought: whole or not at all."""

from __future__ import annotations

import os
import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from support.bench import Bench, bench_at
from support.engine import wait_until
from support.pulls import SLOWLY, digest, finished, parts, start
from trebuchet.engines.base import STRETCH_BYTES

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

SIZE = 10 * STRETCH_BYTES - 1_000
LARGE = f"head -c {SIZE} /dev/urandom > /outputs/large"
TOLD = "sha256sum /outputs/large | cut -c -64"
WAIT = "until test -e go; do sleep 0.05; done"


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench_at(tmp_path_factory.mktemp("changing")) as bench:
        yield bench


@pytest.fixture
def slow(bench: Bench) -> Iterator[None]:
    bench.engine.set_faults(SLOWLY)
    yield
    bench.engine.set_faults()


def up(bench: Bench, script: str) -> str:
    """The key of a job that has written its large file, and goes on when told so."""
    job = bench.up(f"{LARGE}; {TOLD}; sleep 1.1; {script}")
    wait_until(lambda: any(bench.launcher.logs(job.key)))
    return job.key


def go_on(bench: Bench, key: str) -> None:
    assert bench.launcher.inside(key).exec(["touch", "go"]) == 0


@contextmanager
def held(pull: subprocess.Popen[str]) -> Iterator[None]:
    """Let something come about in the middle of a transfer, however fast that is."""
    pull.send_signal(signal.SIGSTOP)
    yield
    pull.send_signal(signal.SIGCONT)


def told_by(bench: Bench, key: str) -> list[str]:
    """The digests that the job told, once it has ended."""
    return "".join(entry.message for entry in bench.launcher.logs(key, follow=True)).split()


@pytest.mark.usefixtures("slow")
def test_of_a_file_that_grows_its_beginning_is_brought(bench: Bench, tmp_path: Path) -> None:
    more = "head -c 1000000 /dev/urandom >> /outputs/large; sleep 0.05"
    key = up(bench, f"{WAIT}; for i in $(seq 60); do {more}; done")
    [as_it_was] = [entry.message.strip() for entry in bench.launcher.logs(key)]
    pull = start(bench, key, tmp_path)
    wait_until(lambda: parts(tmp_path) >= 3)
    with held(pull):
        go_on(bench, key)
        wait_until(lambda: [file.size for file in bench.launcher.outputs(key).list()] != [SIZE])
    assert f"large was written to while it was brought: its first {SIZE:,} bytes are here" in finished(pull)
    assert digest(tmp_path / "large") == as_it_was
    bench.launcher.cancel(key)
    bench.engine.set_faults()
    finished(start(bench, key, tmp_path))
    assert (tmp_path / "large").stat().st_size > SIZE


@pytest.mark.usefixtures("slow")
def test_a_file_that_is_written_anew_is_brought_once_more(bench: Bench, tmp_path: Path) -> None:
    key = up(bench, f"{WAIT}; {LARGE}.new; mv /outputs/large.new /outputs/large; {TOLD}")
    pull = start(bench, key, tmp_path, "large")
    wait_until(lambda: parts(tmp_path) >= 3)
    with held(pull):
        go_on(bench, key)
        told_by(bench, key)
    assert "large was changed while it was brought; it is brought once more" in finished(pull)
    before, after = told_by(bench, key)
    assert digest(tmp_path / "large") == after != before


@pytest.mark.usefixtures("slow")
def test_a_file_that_never_comes_to_rest_is_an_error_and_no_mixture(bench: Bench, tmp_path: Path) -> None:
    overwrite = f"head -c {SIZE} /dev/urandom | dd of=/outputs/large conv=notrunc bs=1M status=none"
    key = up(bench, f"while true; do {overwrite}; done")
    pull = start(bench, key, tmp_path)
    _, told = pull.communicate(timeout=100)
    assert pull.returncode >= 200
    assert "large was changed each time that it was brought" in told
    assert list(tmp_path.iterdir()) == []
    bench.launcher.cancel(key)


@pytest.mark.usefixtures("slow")
def test_what_is_removed_meanwhile_is_left_out_of_a_folder(bench: Bench, tmp_path: Path) -> None:
    key = up(bench, f"echo kept > /outputs/small; {WAIT}; rm /outputs/large; echo removed; sleep 60")
    wait_until(lambda: "small" in {file.path for file in bench.launcher.outputs(key).list()})
    pulls = [start(bench, key, tmp_path / "all")]
    wait_until(lambda: (tmp_path / "all/small").exists() and parts(tmp_path / "all"))
    with held(pulls[0]):
        pulls.append(start(bench, key, tmp_path / "one", "large"))
        wait_until(lambda: parts(tmp_path))
        with held(pulls[1]):
            go_on(bench, key)
            wait_until(lambda: "large" not in {file.path for file in bench.launcher.outputs(key).list()})
    assert "large was removed by the job while its outputs were brought" in finished(pulls[0])
    assert [file.name for file in (tmp_path / "all").iterdir()] == ["small"]
    _, told = pulls[1].communicate(timeout=100)
    assert pulls[1].returncode >= 200
    assert "large was removed while it was brought" in told
    assert [file.name for file in tmp_path.iterdir()] == ["all"]
    bench.launcher.cancel(key)


def test_ctrl_c_does_not_wait_for_a_network_that_is_dead(bench: Bench, tmp_path: Path) -> None:
    key = up(bench, "true")
    [expected] = told_by(bench, key)
    bench.engine.set_faults(SLOWLY)
    pull = start(bench, key, tmp_path)
    wait_until(lambda: parts(tmp_path) >= 2)
    os.kill(bench.engine.endpoint.pid, signal.SIGSTOP)
    try:
        sent = time.monotonic()
        pull.send_signal(signal.SIGINT)
        _, told = pull.communicate(timeout=50)
        assert time.monotonic() - sent < 10  # The SDK waits for minutes.
    finally:
        os.kill(bench.engine.endpoint.pid, signal.SIGCONT)
    assert pull.returncode == 130, told
    assert "what has come is kept" in told
    bench.engine.set_faults()
    bench.engine.clear_calls()
    finished(start(bench, key, tmp_path))
    assert digest(tmp_path / "large") == expected
    assert bench.engine.calls()["VolumeGetFile2"] < 10
