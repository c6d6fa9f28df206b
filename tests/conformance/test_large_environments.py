"""As much of an environment as programs can be started with reaches them; more is refused before a launch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from trebuchet.errors import PlanError
from trebuchet.job import JobConfig
from trebuchet.plan import make_plan
from trebuchet.plan.script import ARGUMENT_BYTES, bind_launch, script_argv

if TYPE_CHECKING:
    from conftest import Bench

NAMES = [f"BIG{number}" for number in range(7)]
VALUES = {name: name[-1] * (ARGUMENT_BYTES - len(f"{name}=")) for name in NAMES}
"""Each as long as the kernel lets one be (MAX_ARG_STRLEN), and 917 kB together."""

SCRIPT = (
    f'for name in {" ".join(NAMES)}; do printenv "$name" | sha256sum; done | sort -u | wc -l; env | wc -c'
)


@pytest.mark.parametrize("kept", [False, True], ids=["sent along", "in a named secret"])
def test_it_reaches_the_programs_of_a_job(bench: Bench, kept: bool) -> None:
    [spec] = make_plan(JobConfig(run=SCRIPT, envs=VALUES), cloud="local").candidates
    argv = bind_launch(script_argv(JobConfig(setup="true", run=SCRIPT)), nonce="n", attempt=1, variables={})
    name = f"trebuchet-test-{bench.mark}"
    if kept:
        bench.engine.put_secret(name, spec.env)
    sandbox_id = bench.create(*argv, **({"secrets": (name,)} if kept else {"env": spec.env}))

    assert bench.wait(sandbox_id).exit_code == 0
    different, size = bench.text(sandbox_id, source="stdout").split()
    assert int(different) == len(NAMES)
    assert int(size) > len(NAMES) * ARGUMENT_BYTES
    if kept:
        bench.engine.delete_secret(name)


@pytest.mark.parametrize(
    ("envs", "said"),
    [
        ({"TOO_LONG": "canary" * 30_000}, "more than a program can be given"),
        ({f"V{number}": "canary" * 20_000 for number in range(9)}, "all variables come to more than"),
    ],
    ids=["one value", "all together"],
)
def test_what_no_program_can_be_given_is_refused_with_a_way_out(
    envs: dict[str, str | None], said: str
) -> None:
    with pytest.raises(PlanError) as caught:
        make_plan(JobConfig(run="true", envs=envs), cloud="modal")
    assert said in str(caught.value)
    assert "file" in str(caught.value)
    assert "canary" not in str(caught.value)
