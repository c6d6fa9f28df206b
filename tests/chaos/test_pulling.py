"""A transfer of outputs goes on where it was, whoever dies; nothing half stands under a final name."""

from __future__ import annotations

import os
import random
import signal
import time
from typing import TYPE_CHECKING

import pytest

from support.bench import Bench, bench_at
from support.engine import wait_until
from support.pulls import digest, finished, parts, start
from trebuchet.engines.base import STRETCH_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PARTS = 12
SIZE = PARTS * STRETCH_BYTES - 1_000
NEVER = {"call": "VolumeGetFile2", "action": "delay", "seconds": 600}
LARGE = f"head -c {SIZE} /dev/urandom > /outputs/large; sha256sum /outputs/large | cut -c -64"


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench_at(tmp_path_factory.mktemp("pulling")) as bench:
        yield bench


@pytest.fixture(scope="module")
def large(bench: Bench) -> tuple[str, str]:
    """The key of a job that left a large file, and the file's digest."""
    job = bench.up(LARGE)
    [entry] = bench.launcher.logs(job.key, follow=True)
    return job.key, entry.message.strip()


def cut_off(bench: Bench, key: str, folder: Path, *, after: int) -> None:
    """Kill a transfer when it has brought so many stretches, more of which it is not given."""
    bench.engine.set_faults({**NEVER, "after": after - parts(folder)})
    process = start(bench, key, folder)
    wait_until(lambda: parts(folder) >= after)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    bench.engine.set_faults()
    assert not (folder / "large").exists()


def test_a_transfer_that_was_killed_goes_on_in_the_middle(
    bench: Bench, large: tuple[str, str], tmp_path: Path
) -> None:
    key, expected = large
    cut_off(bench, key, tmp_path, after=2)
    cut_off(bench, key, tmp_path, after=8)
    here = parts(tmp_path)
    bench.engine.clear_calls()
    finished(start(bench, key, tmp_path))
    assert digest(tmp_path / "large") == expected
    assert bench.engine.calls().get("VolumeGetFile2", 0) == PARTS - here
    assert [file.name for file in tmp_path.iterdir()] == ["large"]


def test_what_was_damaged_meanwhile_is_brought_again(
    bench: Bench, large: tuple[str, str], tmp_path: Path
) -> None:
    key, expected = large
    cut_off(bench, key, tmp_path, after=8)
    [draft] = (file for file in tmp_path.iterdir() if file.suffix != ".parts")
    with draft.open("r+b") as file:
        for part in range(PARTS):
            file.seek(part * STRETCH_BYTES + 1_000)
            file.write(b"damage")
    with draft.with_name(f"{draft.name}.parts").open("a") as listed:
        listed.write('{"size": "half a li')
    finished(start(bench, key, tmp_path))
    assert digest(tmp_path / "large") == expected


def test_a_draft_of_what_the_file_was_before_is_not_used(bench: Bench, tmp_path: Path) -> None:
    job = bench.up(f"{LARGE}; until test -e again; do sleep 0.1; done; sleep 1.1; {LARGE}")
    wait_until(lambda: any(bench.launcher.logs(job.key)))
    cut_off(bench, job.key, tmp_path, after=3)
    bench.launcher.inside(job.key).exec(["touch", "again"])
    bench.ended(job)
    expected = [entry.message.strip() for entry in bench.launcher.logs(job.key)]
    finished(start(bench, job.key, tmp_path))
    assert digest(tmp_path / "large") == expected[-1] != expected[0]


def test_two_transfers_to_one_place_do_not_disturb_each_other(
    bench: Bench, large: tuple[str, str], tmp_path: Path
) -> None:
    key, expected = large
    both = [start(bench, key, tmp_path) for _ in range(2)]
    for process in both:
        finished(process)
    assert digest(tmp_path / "large") == expected
    assert [file.name for file in tmp_path.iterdir()] == ["large"]


def test_holes_stay_holes(bench: Bench, tmp_path: Path) -> None:
    job = bench.up(
        "truncate -s 400M /outputs/large; echo end >> /outputs/large; "
        "printf middle | dd of=/outputs/large bs=1 seek=200000000 conv=notrunc status=none"
    )
    bench.ended(job)
    finished(start(bench, job.key, tmp_path))
    found = tmp_path / "large"
    assert found.stat().st_size == (400 << 20) + 4
    assert found.stat().st_blocks * 512 < 32 << 20
    with found.open("rb") as file:
        assert os.pread(file.fileno(), 6, 200_000_000) == b"middle"
        assert os.pread(file.fileno(), 4, 400 << 20) == b"end\n"


@pytest.mark.proof
@pytest.mark.timeout(3600)
def test_whatever_moment_it_is_killed_at(bench: Bench, tmp_path: Path) -> None:
    """20,000 small files, a large one, and a large one with holes, in transfers killed at random."""
    job = bench.up(
        "for i in $(seq 200); do mkdir -p /outputs/small/$i; for j in $(seq 100); do "
        "echo $i $j > /outputs/small/$i/$j; done; done; truncate -s 10G /outputs/sparse; "
        f"echo end >> /outputs/sparse; {LARGE}",
        timeout=600,
    )
    expected = "".join(entry.message for entry in bench.launcher.logs(job.key, follow=True)).strip()
    chance = random.Random(os.environ.get("TEST_INPUTS", "seeded"))
    for _ in range(12):
        process = start(bench, job.key, tmp_path)
        time.sleep(chance.uniform(0.5, 8))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if (tmp_path / "large").exists():
            assert digest(tmp_path / "large") == expected
        for file in tmp_path.glob("small/*/[0-9]*"):
            assert file.read_text() == f"{file.parent.name} {file.name}\n"
    finished(start(bench, job.key, tmp_path))
    assert digest(tmp_path / "large") == expected
    assert (tmp_path / "sparse").stat().st_size == (10 << 30) + 4
    assert (tmp_path / "sparse").stat().st_blocks * 512 < 64 << 20
    small = {f"{i}/{j}": f"{i} {j}\n" for i in range(1, 201) for j in range(1, 101)}
    assert small == {name: (tmp_path / "small" / name).read_text() for name in small}
    assert not list(tmp_path.rglob(".*"))
