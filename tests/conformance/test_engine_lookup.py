"""Finding sandboxes again, from any process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Bench


@pytest.mark.parametrize("gpu", [None, "H100"], ids=["V2", "V1"])
def test_by_tags_all_of_which_must_fit(bench: Bench, gpu: str | None) -> None:
    if gpu and bench.cloud == "modal":
        pytest.skip("a GPU on Modal costs money")
    mark = f"{bench.mark}{'g' if gpu else 'c'}"
    red = bench.create("sleep", "100", gpu=gpu, tags={"mark": mark, "colour": "red"})
    blue = bench.create("sleep", "100", gpu=gpu, tags={"mark": mark, "colour": "blue"})

    assert set(bench.engine.find({"mark": mark})) == {red, blue}
    assert bench.engine.find({"mark": mark, "colour": "red"}) == [red]
    assert bench.engine.find({"mark": mark, "colour": "green"}) == []


def test_what_has_ended_is_not_listed(bench: Bench) -> None:
    sandbox_id = bench.create("true", tags={"mark": f"{bench.mark}e"})
    bench.wait(sandbox_id)

    bench.until(lambda: bench.engine.find({"mark": f"{bench.mark}e"}) == [], "the list forgets it")


def test_more_than_a_page_is_found(bench: Bench) -> None:
    if bench.cloud == "modal":
        pytest.skip("a hundred sandboxes cost money")
    made = {bench.create("sleep", "100", tags={"mark": f"{bench.mark}p"}) for _ in range(105)}

    assert set(bench.engine.find({"mark": f"{bench.mark}p"})) == made


def test_tags_come_back_as_they_were_given(bench: Bench) -> None:
    tags = {"trebuchet-key": "abc", "trebuchet-name": "x_y.z-1"}
    sandbox_id = bench.create("sleep", "100", tags=tags)

    assert bench.engine.tags(sandbox_id) == {"trebuchet-test": bench.mark, **tags}


@pytest.mark.parametrize("gpu", [None, "H100"], ids=["V2", "V1"])
def test_by_name_while_it_runs(bench: Bench, gpu: str | None) -> None:
    if gpu and bench.cloud == "modal":
        pytest.skip("a GPU on Modal costs money")
    name = f"find-{bench.mark}-{'g' if gpu else 'c'}"
    assert bench.engine.find_by_name(name) is None

    sandbox_id = bench.create("sleep", "100", gpu=gpu, name=name)
    assert bench.engine.find_by_name(name) == sandbox_id
    assert bench.engine.find_ended_by_name(name) is None

    bench.engine.terminate(sandbox_id)
    bench.wait(sandbox_id)
    bench.until(lambda: bench.engine.find_by_name(name) is None, "the name becomes free")
    if gpu is None:
        assert bench.engine.find_ended_by_name(name) == sandbox_id


def test_the_sdks_own_handle_is_to_be_had(bench: Bench) -> None:
    sandbox_id = bench.create("sleep", "100")

    assert bench.engine.handle(sandbox_id).object_id == sandbox_id


def test_the_identity_is_the_same_each_time(bench: Bench) -> None:
    identity = bench.engine.identity()

    assert identity.control_plane
    assert identity.workspace
    assert bench.engine.identity() == identity
