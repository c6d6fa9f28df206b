"""What goes wrong on purpose, and what the SDK's own repeats then do to the engine."""

from __future__ import annotations

import json
import time
import uuid
from typing import TYPE_CHECKING

import pytest
from grpclib.exceptions import StreamTerminatedError
from modal.exception import ResourceExhaustedError, ServiceError

from trebuchet.emulator.faults import Faults

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.engine import Engine


@pytest.fixture
def faulty(engine: Engine) -> Iterator[Engine]:
    yield engine
    engine.set_faults()


def test_a_refused_call_has_its_status(faulty: Engine) -> None:
    faulty.set_faults({"call": "SandboxCreateV2", "action": "refuse", "status": "RESOURCE_EXHAUSTED"})
    with pytest.raises(ResourceExhaustedError):
        faulty.create("true")


def test_a_plane_that_is_away_for_a_moment_is_asked_again(faulty: Engine) -> None:
    faulty.set_faults({"call": "SandboxCreateV2", "action": "refuse", "times": 2})
    faulty.clear_calls()
    faulty.create("true").wait()
    assert faulty.calls()["SandboxCreateV2"] == 3


def test_a_plane_that_stays_away_is_an_error(faulty: Engine) -> None:
    faulty.set_faults({"call": "SandboxTagsGet*", "action": "refuse"})
    sandbox = faulty.create("true")
    with pytest.raises(ServiceError):
        sandbox.get_tags()


def test_a_call_that_is_cut_was_never_done(faulty: Engine) -> None:
    mark = uuid.uuid4().hex
    faulty.set_faults({"call": "SandboxCreateV2", "action": "cut"})
    with pytest.raises(StreamTerminatedError):
        faulty.create("sleep", "60", tags={"mark": mark})
    assert faulty.listed(mark=mark) == []


def test_a_lost_answer_was_done_and_is_not_done_again(faulty: Engine) -> None:
    mark = uuid.uuid4().hex
    faulty.set_faults({"call": "SandboxCreateV2", "action": "lose_answer"})
    with pytest.raises(StreamTerminatedError):
        faulty.create("sleep", "60", tags={"mark": mark})
    (sandbox_id,) = faulty.listed(mark=mark)
    faulty.get(sandbox_id).terminate()


def test_a_late_answer_is_late(faulty: Engine) -> None:
    sandbox = faulty.create("true")
    faulty.set_faults({"call": "SandboxTagsGetV2", "action": "delay", "seconds": 2, "times": 1, "after": 1})
    begin = time.monotonic()
    sandbox.get_tags()
    middle = time.monotonic()
    sandbox.get_tags()
    assert middle - begin < 2 <= time.monotonic() - middle


@pytest.mark.parametrize("text", ['[{"call": "x"}]', '[{"call": "x", "action": "explode"}]', "nonsense", "3"])
def test_a_list_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever it says
        Faults(text)


@pytest.mark.parametrize("pattern", ["SandboxCraete*", "sandboxcreatev2", "Sandbox", ""])
def test_a_pattern_that_no_served_call_fits_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="No call that is served here is called"):
        Faults(json.dumps([{"call": pattern, "action": "refuse"}]))


def test_a_typing_error_in_a_call_is_answered_with_the_call_that_was_meant() -> None:
    with pytest.raises(ValueError, match="Did you mean 'SandboxCreateV2'"):
        Faults(json.dumps([{"call": "SandboxCraeteV2", "action": "refuse"}]))
    Faults(json.dumps([{"call": "SandboxCreateV2", "action": "refuse"}, {"call": "*", "action": "delay"}]))
