"""What a status costs does not grow with all that ever ran."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.rows import SPEC, make_job
from trebuchet.errors import ClusterNotFoundError
from trebuchet.launcher import Launcher
from trebuchet.ledger import Outcome
from trebuchet.ledger.database import Database
from trebuchet.settings import Settings
from trebuchet.status import JobState

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def launcher(tmp_path: Path) -> Iterator[Launcher]:
    """One of whose jobs three ended long ago, and one of late."""
    launcher = Launcher(Settings(home=tmp_path))
    ledger = launcher.contexts.ledger
    for number, ended in enumerate((1.0, 2.0, 3.0, 1000.0)):
        job = make_job(f"job-{number}", cluster="old" if ended < 100 else "new")
        assert ledger.add(job, {}, (SPEC,))
        assert ledger.ended(job.current, Outcome(state=JobState.SUCCEEDED), at=ended)
    yield launcher
    launcher.close()


def test_what_ended_before_is_left_out_and_a_cluster_of_such_jobs_is_known_all_the_same(
    launcher: Launcher,
) -> None:
    [late] = launcher.status(ended_since=100.0)["local"]
    assert late.key == "job-3"
    assert len(launcher.status()["local"]) == 4
    assert launcher.status(unfinished=True) == {"local": [], "modal": []}
    assert launcher.status("local", "old", ended_since=100.0) == {"local": []}
    with pytest.raises(ClusterNotFoundError):
        launcher.status("local", "none", cached=True, ended_since=100.0)


def test_a_status_reads_its_jobs_together_and_by_when_they_ended(
    launcher: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[tuple[str, tuple[object, ...]]]()
    rows, row = Database.rows, Database.row

    def heard(read: object) -> object:
        def reading(self: Database, query: str, values: tuple[object, ...] = ()) -> object:
            asked.append((query, values))
            return read(self, query, values)  # pyright: ignore

        return reading

    monkeypatch.setattr(Database, "rows", heard(rows))
    monkeypatch.setattr(Database, "row", heard(row))
    launcher.status()
    few = len(asked)
    for number in range(20):
        job = make_job(f"more-{number}")
        assert launcher.contexts.ledger.add(job, {}, (SPEC,))
        assert launcher.contexts.ledger.ended(job.current, Outcome(state=JobState.SUCCEEDED), at=1.0)
    asked.clear()
    launcher.status()
    assert len(asked) == few

    asked.clear()
    launcher.status(ended_since=100.0)
    monkeypatch.undo()
    database = launcher.contexts.ledger._database
    plans = [
        step["detail"]
        for query, values in asked
        for step in database.rows(f"EXPLAIN QUERY PLAN {query}", values)
    ]
    assert [plan for plan in plans if plan.startswith("SCAN jobs") and "INDEX" not in plan] == []
    assert any("jobs_by_end (end_at>?)" in plan for plan in plans), plans
