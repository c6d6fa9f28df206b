"""Processes once more as an ordinary user, where root runs the tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.ordinary_user import assert_all_pass_as_nobody

_TESTS = Path(__file__).parent
_TIME_S = 300


@pytest.mark.timeout(_TIME_S)
def test_isolation_and_execs_hold_for_an_ordinary_user() -> None:
    assert_all_pass_as_nobody(_TESTS / "test_isolation.py", _TESTS / "test_execs.py", timeout_s=_TIME_S)


@pytest.mark.proof
@pytest.mark.timeout(_TIME_S)
def test_everything_about_processes_holds_for_an_ordinary_user() -> None:
    assert_all_pass_as_nobody(_TESTS, timeout_s=_TIME_S)
