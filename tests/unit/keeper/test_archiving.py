"""What nobody follows is archived all the same."""

from __future__ import annotations

import os
import shutil
import signal
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from support.bench import bench_at
from support.engine import wait_until
from support.rows import SPEC, make_job
from trebuchet.keeper.archiving import Archiving
from trebuchet.launcher import Launcher
from trebuchet.lifecycle.contexts import Contexts
from trebuchet.lifecycle.log_chain import archive_folder
from trebuchet.logs.archive import SUFFIX, Archive
from trebuchet.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.bench import Bench
    from trebuchet.status import JobStatus


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A bench whose keeper archives."""
    with bench_at(tmp_path / "home") as bench:
        bench.launcher = Launcher(replace(bench.launcher.settings, archive=True))
        yield bench
        bench.launcher.close()


def archive_of(bench: Bench, job: JobStatus) -> Archive:
    return Archive(archive_folder(bench.home, job.key) / f"1{SUFFIX}")


def is_archived(bench: Bench, job: JobStatus) -> bool:
    return archive_of(bench, job).survey().complete and not bench.launcher.contexts.ledger.unarchived("local")


def test_a_job_that_nobody_looks_at_is_archived_at_its_end(bench: Bench) -> None:
    done = bench.up("echo early")
    going = bench.up("echo begun; until test -e /tmp/go; do sleep 0.1; done; echo over")
    wait_until(lambda: archive_of(bench, done).survey().complete)
    assert bench.launcher.find(done.key, cached=True).done  # Nobody but the keeper has looked.
    assert not archive_of(bench, going).survey().complete
    bench.launcher.inside(going.key).exec(["touch", "/tmp/go"])
    wait_until(lambda: is_archived(bench, going))
    assert [bench.launcher.find(job.key, cached=True).done for job in (done, going)] == [True, True]

    bench.engine.kill()
    assert [entry.message for entry in bench.launcher.logs(going.key)] == ["begun\n", "over\n"]
    bench.engine.start()


def test_a_keeper_that_was_killed_is_followed_by_one_that_archives(bench: Bench) -> None:
    job = bench.up("echo one; until test -e /tmp/go; do sleep 0.1; done; echo two")
    wait_until(bench.keepers_at_work)
    bench.kill_keepers()
    bench.launcher.status()  # Any command that looks at unfinished jobs will do.
    bench.launcher.inside(job.key).exec(["touch", "/tmp/go"])
    wait_until(lambda: is_archived(bench, job))
    assert "".join(entry.message for entry in bench.launcher.logs(job.key)) == "one\ntwo\n"


def test_it_starts_no_engine_that_was_stopped(bench: Bench) -> None:
    job = bench.up("sleep 1")
    wait_until(bench.keepers_at_work)
    bench.engine.kill()
    engine = bench.launcher.contexts.of("local").engine
    for _ in range(40):  # The keeper would have looked by then.
        assert engine.is_asleep()
        bench.launcher.contexts.clock.sleep(0.1)
    bench.engine.start()
    bench.launcher.status()
    wait_until(lambda: is_archived(bench, job))


def test_it_leaves_when_its_folder_is_cleared_and_makes_nothing_anew(bench: Bench) -> None:
    bench.up("sleep 60")
    wait_until(bench.keepers_at_work)
    bench.launcher.close()
    [keeper] = bench.keepers_at_work()
    os.kill(keeper, signal.SIGSTOP)  # Clearing takes a moment, and it may look just then.
    for entry in [entry for entry in bench.home.iterdir() if entry.name != "local"]:
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    os.kill(keeper, signal.SIGCONT)
    wait_until(lambda: bench.keepers() == [])
    assert [entry.name for entry in bench.home.iterdir()] == ["local"]


def test_a_follower_leaves_nothing_to_do(bench: Bench) -> None:
    launcher = Launcher(replace(bench.launcher.settings, keeper=False))  # So nobody else can have written it.
    _, job = launcher.up(bench.job("echo x"), bench.cluster)
    assert [entry.message for entry in launcher.logs(job.key, follow=True)] == ["x\n"]
    assert is_archived(bench, job)
    launcher.close()


@pytest.mark.parametrize("setting", ["archive", "keeper"])
def test_it_can_be_turned_off(bench: Bench, setting: str) -> None:
    launcher = Launcher(replace(bench.launcher.settings, **{setting: False}))
    launcher.up(bench.job("true"), bench.cluster)
    assert bench.keepers() == []
    launcher.close()


def test_what_a_keeper_knows_of_logs_does_not_grow_with_those_that_were(tmp_path: Path) -> None:
    contexts = Contexts(Settings(home=tmp_path, archive=True))
    archiving = Archiving(contexts, "local", wake=lambda: None)
    for number in range(100):
        archiving._failed(f"gone-{number}", 1, OSError("no space"))
        archiving._topped_up[f"gone-{number}", 1] = 0.0
    assert contexts.ledger.add(make_job("gone-7"), {}, (SPEC,))
    # An attempt's log is wanted from its sandbox on.
    contexts.ledger.created(make_job("gone-7").current, "sb-7", at=1.0)
    archiving.turn()
    assert (set(archiving._failures), set(archiving._topped_up)) == ({("gone-7", 1)}, {("gone-7", 1)})
    contexts.close()
