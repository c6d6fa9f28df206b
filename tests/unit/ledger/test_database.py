"""What the ledger's file promises: privacy, many users at once, clear words when it cannot be used."""

from __future__ import annotations

import multiprocessing
import os
import resource
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.rows import make_job
from trebuchet.errors import LedgerError
from trebuchet.ledger import Ledger, Outcome, filesystem
from trebuchet.ledger.schema import MIGRATIONS
from trebuchet.status import JobState

if TYPE_CHECKING:
    from collections.abc import Callable

    from trebuchet.ledger import Job

MOUNTS = """\
22 1 8:1 / / rw,relatime - ext4 /dev/root rw
30 22 0:40 / /home rw,relatime shared:1 - nfs4 server:/home rw
31 22 0:41 / /with\\040space rw - cifs //server/x rw
33 22 0:43 / /donn\u00e9es rw - nfs rw rw
34 22 0:44 / /back\\134slash rw - nfs rw rw
32 30 0:42 / /home/me/local rw - xfs /dev/sdb rw
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/var/x", "ext4"),
        ("/home/me", "nfs4"),
        ("/home/me/local/y", "xfs"),
        ("/with space", "cifs"),
        ("/donn\u00e9es/x", "nfs"),
        ("/back\\slash", "nfs"),
    ],
)
def test_the_file_system_is_that_of_the_nearest_mount(folder: str, kind: str) -> None:
    assert filesystem.file_system_of(Path(folder), MOUNTS) == kind


def test_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"22 1 8:1 / / rw - ext4 x rw\n30 22 0:40 / {tmp_path} rw - nfs4 server:/home rw\n")
    monkeypatch.setattr(filesystem, "_MOUNTS", mounts)
    with pytest.raises(LedgerError, match="nfs4") as refused:
        Ledger(tmp_path / "home" / "ledger.sqlite3")
    assert "TREBUCHET_HOME" in str(refused.value.hint)


def test_only_the_user_can_read_it(ledger: Ledger) -> None:
    assert ledger.path.parent.stat().st_mode & 0o777 == 0o700
    for file in ledger.path.parent.iterdir():
        assert file.stat().st_mode & 0o077 == 0, file


def test_a_damaged_file_is_set_aside_and_the_user_told(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this was a database once" * 1000)
    with pytest.warns(UserWarning, match="set aside"):
        ledger = Ledger(path)
    assert ledger.set_aside is not None
    assert ledger.set_aside.read_bytes().startswith(b"this was")
    assert ledger.jobs() == []


def test_damage_in_the_middle_is_noticed_and_the_next_opening_works(path: Path) -> None:
    ledger = Ledger(path)
    for number in range(200):
        ledger.add(make_job(f"k{number}"), {"x": "y" * 500}, ())
    ledger.close()
    content = bytearray(path.read_bytes())
    content[4096 * 3 : -4096] = os.urandom(len(content) - 4096 * 4)
    path.write_bytes(content)
    with pytest.warns(UserWarning, match="set aside"), pytest.raises(LedgerError, match="damaged"):
        _read_all(path)
    assert Ledger(path).jobs() == []


@pytest.mark.filterwarnings("ignore:The ledger was damaged")
def test_many_that_notice_the_same_damage_set_aside_the_damaged_file_alone(path: Path) -> None:
    stays = Ledger(path)
    stays.add(make_job("lost"), {}, ())
    _spoil(path)
    start = threading.Barrier(8)

    def open_and_write(number: int) -> None:
        start.wait()
        Ledger(path).add(make_job(f"k{number}"), {}, ())

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(open_and_write, range(8)))
    stays.add(make_job("k8"), {}, ())  # its connection is to the file that was set aside
    assert {job.key for job in Ledger(path).jobs()} == {f"k{number}" for number in range(9)}
    assert len(list(path.parent.glob("*.damaged-*.sqlite3"))) == 1


def test_what_is_written_after_another_has_begun_anew_goes_into_the_new_one(path: Path) -> None:
    stays = Ledger(path)
    stays.add(make_job("old"), {}, ())
    for file in path.parent.glob("ledger.sqlite3*"):
        file.rename(file.with_name(f"away-{file.name}"))
    Ledger(path).add(make_job("others"), {}, ())
    stays.add(make_job("ours"), {}, ())
    assert {job.key for job in Ledger(path).jobs()} == {"others", "ours"}


def test_one_that_was_removed_is_begun_anew_and_what_runs_is_to_be_found_again(path: Path) -> None:
    stays = Ledger(path)
    stays.add(make_job("old"), {}, ())
    assert not stays.rebuild_marker.is_there
    path.unlink()  # and what lies beside it is left, as by one who does not know of it
    with pytest.warns(UserWarning, match="removed"):
        assert stays.jobs() == []
    assert stays.rebuild_marker.is_there
    stays.add(make_job("new"), {}, ())
    assert [job.key for job in Ledger(path).jobs()] == ["new"]


def _spoil(path: Path) -> None:
    for file in (path, Path(f"{path}-wal")):
        with file.open("r+b") as spoilt:
            spoilt.write(os.urandom(3000))


def _read_all(path: Path) -> None:
    ledger = Ledger(path)
    for number in range(200):
        ledger.job(f"k{number}")


def test_a_ledger_of_a_newer_version_is_left_alone(path: Path) -> None:
    Ledger(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    with pytest.raises(LedgerError, match="newer"):
        Ledger(path)


def test_migrations_bring_an_old_ledger_up_to_date(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Ledger(path).close()
    monkeypatch.setattr(
        "trebuchet.ledger.database.MIGRATIONS",
        (*MIGRATIONS, "CREATE TABLE more (x TEXT);\nDROP TABLE strangers"),
    )
    Ledger(path).close()
    with sqlite3.connect(path) as connection:
        names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    assert "more" in names
    assert "strangers" not in names


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
def test_a_ledger_of_any_earlier_version_opens_with_all_that_is_in_it(path: Path, version: int) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        for script in MIGRATIONS[:version]:
            connection.executescript(script)
        connection.execute(f"PRAGMA user_version = {version}")
        for key, end in (("ended", 30.0), ("open", None)):
            _insert(
                connection, "jobs", key=key, name="job", cloud="local", app="a", control_plane="here",
                workspace="w", served_from="e", attempt=1, state="SUCCEEDED" if end else "RUNNING",
                needs_values=0, launch_until=20.0, submit_time=10.0, end_at=end,
            )  # fmt: skip
            _insert(connection, "recipes", key=key, config="{}", candidates="[]")
            _insert(
                connection, "attempts", key=key, attempt=1, candidate=0, launch_tag=f"{key}.1", name="n",
                sandbox_id=f"sb-{key}", state="RUNNING",
            )  # fmt: skip
            _insert(connection, "sandboxes", sandbox_id=f"sb-{key}", key=key, attempt=1)
            _insert(connection, "events", key=key, at=10.0, kind="intended", detail="{}")
    connection.close()

    ledger = Ledger(path)
    assert {job.key: (job.state, job.end_at) for job in ledger.jobs()} == {
        "ended": (JobState.SUCCEEDED, 30.0),
        "open": (JobState.RUNNING, None),
    }
    [unfinished] = ledger.jobs(unfinished=True)
    assert (unfinished.key, unfinished.sandbox_id, unfinished.launch_until) == ("open", "sb-open", 20.0)
    assert ledger.resolve("sb-ended") == ["ended"]
    assert [event.kind for event in ledger.events("open")] == ["intended"]
    assert ledger.recipe("open").candidates == ()
    assert ledger.id
    assert ledger.ended(unfinished.current, Outcome(state=JobState.SUCCEEDED), at=40.0)
    assert ledger.add(make_job("new"), {}, ())
    assert Ledger(path).id == ledger.id


def _insert(connection: sqlite3.Connection, table: str, **values: object) -> None:
    columns, places = ", ".join(values), ", ".join("?" * len(values))
    connection.execute(f"INSERT INTO {table} ({columns}) VALUES ({places})", tuple(values.values()))


def test_two_ledgers_have_ids_of_their_own(path: Path) -> None:
    other = Ledger(path.parent / "other" / "ledger.sqlite3")
    assert Ledger(path).id != other.id


def test_a_read_only_home_is_a_clear_error(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(LedgerError, match="cannot be used"):
        Ledger(blocked / "home" / "ledger.sqlite3")


def test_a_full_disk_is_a_clear_error_and_nothing_is_half_written(path: Path) -> None:
    """A limit on the size of files stands for the full disk: SQLite sees the same failed write."""
    process = multiprocessing.get_context("spawn").Process(target=_fill, args=(path,))
    process.start()
    process.join(60)
    assert process.exitcode == 0


def _fill(path: Path) -> None:
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    ledger = Ledger(path)
    ledger.add(make_job("before"), {}, ())
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
    with pytest.raises(LedgerError):
        _add_many(ledger)
    jobs = ledger.jobs()
    assert jobs[-1].key == "before"
    assert all(ledger.recipe(job.key) for job in jobs)


def _add_many(ledger: Ledger) -> None:
    for number in range(200):
        ledger.add(make_job(f"k{number}"), {"x": "y" * 20_000}, ())


def test_two_processes_and_sixteen_threads_lose_no_update(path: Path) -> None:
    Ledger(path).close()
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_work_hard, args=(path, name)) for name in "ab"]
    for process in processes:
        process.start()
    for process in processes:
        process.join(100)
    assert [process.exitcode for process in processes] == [0, 0]
    ledger = Ledger(path)
    jobs = ledger.jobs()
    assert len(jobs) == 2 * 8 * 10 + 1
    assert all(job.state is JobState.SUCCEEDED for job in jobs if job.key != "shared")
    assert len(ledger.events("shared")) == 2 * 8 * 10 + 1


def _work_hard(path: Path, name: str) -> None:
    ledger = Ledger(path)
    failures: list[BaseException] = []

    def work(thread: int) -> None:
        try:
            ledger.add(make_job("shared"), {}, ())
            for number in range(10):
                job = make_job(f"{name}-{thread}-{number}", cluster="c")
                assert ledger.add(job, {}, ())
                assert ledger.take_claim(job.current, "me")
                ledger.created(job.current, f"sb-{job.key}", at=1)
                ledger.note("shared", "touched", {}, at=1)
                ledger.jobs(unfinished=True)
                assert ledger.ended(job.current, Outcome(state=JobState.SUCCEEDED), at=2)
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def test_a_forked_child_uses_a_connection_of_its_own(ledger: Ledger, added: Callable[..., Job]) -> None:
    added("parent")
    pid = os.fork()
    if pid == 0:
        done = ledger.add(make_job("child"), {}, ())
        os._exit(0 if done else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert {job.key for job in ledger.jobs()} == {"parent", "child"}


def test_threads_that_come_and_go_leave_no_connections(ledger: Ledger) -> None:
    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    ledger.jobs()
    before = open_files()
    for _ in range(30):
        thread = threading.Thread(target=ledger.jobs)
        thread.start()
        thread.join()
    assert open_files() <= before + 3
