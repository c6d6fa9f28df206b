"""One case for each row of the table of job files, named after it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from golden import CASES, as_text, expected_file, outcome


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_plan_is_as_written_down(case: Path) -> None:
    text = as_text(outcome(case))
    assert text == expected_file(case).read_text(encoding="utf-8"), (
        "if this is meant: python tests/plan/regenerate.py"
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_plan_is_the_same_each_time(case: Path) -> None:
    assert outcome(case) == outcome(case)
