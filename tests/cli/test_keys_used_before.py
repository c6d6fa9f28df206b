"""A key that has launched a job: what is said where it is given again."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("home")


@pytest.mark.parametrize("how", [["-d"], []], ids=["detached", "attached"])
def test_a_key_that_was_used_launches_nothing_and_says_so(
    trebuchet: Callable[..., Any], job_file: Callable[..., str], how: list[str]
) -> None:
    key = f"k-{uuid.uuid4().hex[:8]}"
    file = job_file("echo one; exit 4", name="first", envs={"A": "1"})
    first = trebuchet("up", file, "--key", key)
    assert (first.code, first.out) == (4, "one\n")
    assert "exists already" not in first.err

    same = trebuchet("up", file, "--key", key, "--env", "A=2", *how)
    assert f"{key} exists already (first, FAILED " in same.err
    assert "ago); nothing was launched" in same.err
    assert "launched first" not in same.err
    assert "differ" not in same.err, same.err
    assert same.code == (0 if how else 4)

    other = job_file("echo two", name="second", resources={"cloud": "local", "cpus": 1})
    answer = trebuchet("up", other, "--key", key, *how)
    assert f"{key} exists already (first, " in answer.err
    assert f"not what {key} launched: envs.A, name, resources.cpus, run differ" in answer.err
    assert answer.code == same.code
    assert "two" not in answer.out
