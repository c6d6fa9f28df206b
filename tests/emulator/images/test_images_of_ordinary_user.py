"""Images and their layers once more as an ordinary user, where root runs the tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.ordinary_user import assert_all_pass_as_nobody

_IMAGES = Path(__file__).parent / "test_image_sandboxes.py"
_LAYERS = Path(__file__).parents[1] / "test_host_layers.py"
_SAMPLE = (
    f"{_IMAGES}::test_what_a_job_changes_stays_its_own",
    f"{_IMAGES}::test_commands_run_on_top_and_are_kept_by_content",
    f"{_LAYERS}::test_commands_change_the_hosts_files_for_their_image_alone",
    f"{_LAYERS}::test_layers_lie_below_files_and_snapshots",
)
_TIME_S = 300


@pytest.mark.timeout(_TIME_S)
def test_images_are_stacked_and_built_on_for_an_ordinary_user() -> None:
    assert_all_pass_as_nobody(*_SAMPLE, timeout_s=_TIME_S)


@pytest.mark.proof
@pytest.mark.timeout(_TIME_S)
def test_everything_about_images_holds_for_an_ordinary_user() -> None:
    assert_all_pass_as_nobody(_IMAGES, _LAYERS, timeout_s=_TIME_S)
