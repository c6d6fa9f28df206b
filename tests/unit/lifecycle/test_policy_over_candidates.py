"""What an attempt that only waited for a GPU in vain changes about those around it: nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from support.rows import make_job
from trebuchet.lifecycle.budget import used_s
from trebuchet.lifecycle.policy import resumes
from trebuchet.status import Reason

ATTEMPT = make_job("k").current


@pytest.mark.parametrize(
    ("first", "goes_on"), [(Reason.EVICTED, True), (Reason.EXIT, True), (Reason.SETUP_FAILED, False)]
)
def test_a_job_whose_script_ran_resumes_on_whichever_gpu_is_had(first: Reason, *, goes_on: bool) -> None:
    interrupted = replace(ATTEMPT, number=1, reason=first)
    in_vain = replace(ATTEMPT, number=2, reason=Reason.LAUNCH_FAILED)
    attempts = [interrupted, in_vain, replace(ATTEMPT, number=3)]
    assert resumes(attempts, 3) is goes_on


def test_a_job_that_never_began_does_not_resume() -> None:
    in_vain = replace(ATTEMPT, number=1, reason=Reason.LAUNCH_FAILED)
    assert not resumes([in_vain, replace(ATTEMPT, number=2)], 2)


def test_waiting_in_vain_costs_nothing_of_the_jobs_time() -> None:
    lived = replace(ATTEMPT, created_at=100.0, end_at=400.0, allotted_s=1_000)
    assert used_s(replace(lived, reason=Reason.EXIT)) == 300
    assert used_s(replace(lived, reason=Reason.LAUNCH_FAILED)) == 0
