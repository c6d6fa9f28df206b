"""When a job that ended is started again, by what its file says and what its attempts ended of."""

from __future__ import annotations

from dataclasses import replace

import pytest

from support.rows import make_job
from trebuchet.files import job_from_text
from trebuchet.ledger import Outcome, config_as_data
from trebuchet.lifecycle.policy import Policy
from trebuchet.status import JobState, Reason

ATTEMPT = make_job("k").current
EVICTED = Outcome(state=JobState.FAILED, reason=Reason.EVICTED)
_RECOVERY = "{max_restarts_on_errors: 2, recover_on_exit_codes: [33]}"


def exited(code: int) -> Outcome:
    return Outcome(state=JobState.FAILED, reason=Reason.EXIT, exit_code=code)


def allows(fields: str, *ended: Outcome) -> bool:
    """Whether another attempt follows the last of these ends."""
    policy = Policy.of(config_as_data(job_from_text(f"{fields}\nrun: x", "job.yaml")))
    earlier = [replace(ATTEMPT, reason=one.reason, exit_code=one.exit_code) for one in ended[:-1]]
    return policy.allows(ended[-1], len(earlier), earlier)


@pytest.mark.parametrize("other", [EVICTED, exited(33)])
def test_preemptions_and_listed_exit_codes_leave_the_restarts_for_errors_alone(other: Outcome) -> None:
    fields = f"resources: {{job_recovery: {_RECOVERY}}}"
    assert allows(fields, *[other] * 9, exited(1), other)
    assert allows(fields, *[other] * 9, exited(1), exited(1))
    assert not allows(fields, *[other] * 9, exited(1), exited(1), exited(1))
    assert allows(fields, exited(1), exited(1), other)
    assert not allows(fields, *[other] * 11)


def test_the_next_link_of_a_chain_is_no_restart_after_an_error() -> None:
    cut = Outcome(state=JobState.FAILED, reason=Reason.TIMEOUT, exit_code=143)
    fields = "resources: {job_recovery: {max_restarts_on_errors: 1}}"
    policy = Policy.of(config_as_data(job_from_text(f"{fields}\nrun: x", "job.yaml")))
    earlier = [replace(ATTEMPT, reason=cut.reason, exit_code=cut.exit_code)] * 5
    assert policy.allows(exited(1), 0, earlier)


def test_our_own_limit_counts_all_restarts_together() -> None:
    assert allows("max_restarts: 2", exited(1), EVICTED)
    assert not allows("max_restarts: 2", exited(1), EVICTED, exited(1))


def test_a_recovery_without_a_strategy_restarts_too() -> None:
    assert allows("resources: {job_recovery: {max_restarts_on_errors: 1, strategy: }}", EVICTED)
    assert allows("resources: {job_recovery: {max_restarts_on_errors: 1}}", exited(1))


def test_a_recovery_of_none_starts_again_for_listed_exit_codes_alone() -> None:
    fields = "resources: {job_recovery: {strategy: none, recover_on_exit_codes: 33}}"
    assert allows(fields, exited(33))
    assert not allows(fields, EVICTED)
    assert not allows(fields, exited(1))
