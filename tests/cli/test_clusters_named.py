"""A cluster's name where a job's could stand: what it means to wait for it, and to end it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def launch(
    trebuchet: Callable[..., Any], job_file: Callable[..., str], cluster: str
) -> Callable[[str, str], str]:
    """Launch a job under this test's cluster; its key."""

    def up(name: str, script: str) -> str:
        answer = trebuchet("up", job_file(script, name=name), "-d", "--json", "-c", cluster)
        assert answer.code == 0, answer.err
        return answer.json["key"]

    return up


def test_waiting_for_a_cluster_waits_for_all_its_unfinished_jobs(
    trebuchet: Callable[..., Any], launch: Callable[[str, str], str], cluster: str
) -> None:
    slow = launch("slow", "until [ -e /tmp/go ]; do sleep 0.1; done; exit 3")
    quick = launch("quick", "exit 0")
    assert trebuchet("wait", quick).code == 0
    given_up = trebuchet("wait", cluster, "--timeout", "1s")
    assert given_up.code == 125
    assert f"timed out; still RUNNING: slow ({slow})" in given_up.err
    newest = launch("newest", "exit 0")
    trebuchet("exec", slow, "--", "touch", "/tmp/go")
    answer = trebuchet("wait", cluster, "--json")
    assert answer.code == 3, answer.err
    assert slow in {status["key"] for status in answer.json}
    again = trebuchet("wait", cluster, "--json")
    assert [status["key"] for status in again.json] == [newest]


def test_a_cluster_with_several_unfinished_jobs_is_not_cancelled_by_its_newest(
    trebuchet: Callable[..., Any], launch: Callable[[str, str], str], cluster: str
) -> None:
    first, second = launch("first", "sleep 600"), launch("second", "sleep 600")
    refused = trebuchet("cancel", cluster)
    assert refused.code == 201
    assert f"{cluster} is a cluster with 2 unfinished jobs" in refused.err
    assert f"trebuchet stop {cluster}" in refused.err
    states = {one["key"]: one["done"] for one in trebuchet("status", cluster, "--json").json}
    assert states == {first: False, second: False}
    trebuchet("cancel", second)
    trebuchet("wait", second)
    (ended,) = trebuchet("cancel", cluster, "--json").json
    assert ended["key"] == first  # The only one that is left, though another is newer.
