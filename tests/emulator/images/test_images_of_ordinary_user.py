"""Images and their layers once more as an ordinary user, where root runs the tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.ordinary_user import folder_of_nobody, python_of_nobody, run_as_nobody

_HERE = Path(__file__).parent
_TESTS = (_HERE / "test_image_sandboxes.py", _HERE.parent / "test_host_layers.py")
_TIME_S = 300


@pytest.mark.timeout(_TIME_S)
def test_everything_holds_for_an_ordinary_user() -> None:
    with folder_of_nobody() as folder:
        python = python_of_nobody(folder, needs="pytest")
        options = ["-n", "0", "-p", "no:cacheprovider", "--tb=short", f"--basetemp={folder}/run"]
        tests = ["--rootdir", str(_HERE.parents[2]), *map(str, _TESTS)]
        ended = run_as_nobody([python, "-m", "pytest", *options, *tests], folder, timeout_s=_TIME_S)
    assert ended.returncode == 0, ended.stdout[-6000:] + ended.stderr[-2000:]
    assert " passed" in ended.stdout
