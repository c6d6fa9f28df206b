"""What runs is found again, on each cloud that answers, whether or not the others do."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from trebuchet.emulator.daemon import Endpoint
from trebuchet.launcher import Launcher
from trebuchet.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.bench import Bench
    from trebuchet.status import JobStatus

NOBODY = Endpoint(url="http://127.0.0.1:9", token_id="ak-1", token_secret="as-1", pid=0)


@pytest.fixture
def here(bench: Bench, tmp_path: Path) -> Iterator[Launcher]:
    """A launcher on a ledger of its own, with this engine, in an app where nobody else launches."""
    (tmp_path / "local").symlink_to(bench.home / "local")
    launcher = Launcher(Settings(home=tmp_path, app_name=f"app-{uuid.uuid4().hex[:8]}"))
    yield launcher
    for status in launcher.jobs():
        launcher.cancel(status.key)
    launcher.close()


def _launched_elsewhere(bench: Bench, here: Launcher) -> JobStatus:
    elsewhere = Launcher(replace(bench.launcher.settings, app_name=here.settings.app_name))
    status = elsewhere.up(bench.job("sleep 60"), bench.cluster)[1]
    elsewhere.close()
    return status


def _modal_is(monkeypatch: pytest.MonkeyPatch, endpoint: Endpoint) -> None:
    monkeypatch.setenv("MODAL_SERVER_URL", endpoint.url)
    monkeypatch.setenv("MODAL_TOKEN_ID", endpoint.token_id)
    monkeypatch.setenv("MODAL_TOKEN_SECRET", endpoint.token_secret)


def test_a_ledger_begun_anew_is_filled_cloud_by_cloud(
    bench: Bench, here: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = _launched_elsewhere(bench, here)
    _modal_is(monkeypatch, NOBODY)
    marker = here.contexts.ledger.rebuild_marker
    marker.put()
    with pytest.warns(UserWarning, match="What runs on modal is not yet found again"):
        found = here.status()
    assert [one.key for one in found["local"]] == [status.key]
    assert marker.clouds() == {"local"}
    _modal_is(monkeypatch, bench.engine.endpoint)
    bench.engine.clear_calls()
    again = Launcher(here.settings)
    again.status()
    assert not marker.is_there
    again.close()


def test_a_marker_that_is_put_anew_remembers_no_cloud(here: Launcher) -> None:
    marker = here.contexts.ledger.rebuild_marker
    marker.put()
    marker.add("local")
    marker.add("local")
    assert marker.clouds() == {"local"}
    marker.put()
    assert marker.clouds() == set()
    marker.remove()


def test_other_machines_jobs_are_adopted_where_there_is_an_answer(
    bench: Bench, here: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = here.up(bench.job("sleep 60"), bench.cluster)[1]
    status = _launched_elsewhere(bench, here)
    _modal_is(monkeypatch, NOBODY)
    assert set(here.adopt_everywhere()) == {"modal"}
    assert {one.key for one in here.jobs()} == {own.key, status.key}
