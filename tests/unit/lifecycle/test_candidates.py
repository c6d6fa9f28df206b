"""The first GPU that can be had is used, whoever asks for it; never by two sandboxes at a time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from support.engine import wait_until
from trebuchet.job import JobConfig, JobResources
from trebuchet.lifecycle.intent import WAIT_BESIDE_OTHERS_S
from trebuchet.status import JobState, Reason

if TYPE_CHECKING:
    from support.bench import Bench
    from trebuchet.status import JobStatus

SCRIPT = 'echo "$SKYPILOT_NUM_GPUS_PER_NODE GPUs for $WHO, resumed: ${TREBUCHET_RESUME-no}"'


def up(bench: Bench, run: str, *, wait_for_gpu: float | None = 2.0) -> JobStatus:
    """Launch what prefers two H100 and can do with one A100."""
    either = ({"accelerators": "H100:2"}, {"accelerators": "A100-80GB"})
    resources = JobResources(cloud="local", any_of=either)
    job = JobConfig(name="job", run=run, resources=resources, envs={"WHO": "canary"})
    return bench.launcher.up(job, bench.cluster, wait_for_gpu=wait_for_gpu)[1]


def kinds(bench: Bench, status: JobStatus) -> list[str]:
    return [event.kind for event in bench.launcher.events(status.key)]


def test_after_the_wait_the_next_candidate_is_used_and_what_was_tried_is_told(bench: Bench) -> None:
    bench.engine.hold_gpus(H100=4)
    launched = up(bench, SCRIPT)
    followed = "".join(entry.message for entry in bench.launcher.logs(launched.key, follow=True))
    done = bench.ended(launched)
    told = json.loads(done.metadata)
    assert (done.state, told["gpu"], told["tried"]) == (JobState.SUCCEEDED, "A100-80GB:1", ["H100:2"])
    assert followed == "1 GPUs for canary, resumed: no\n"
    assert kinds(bench, done).count("created") == 2
    [turn] = [event for event in bench.launcher.events(done.key) if event.kind == "again"]
    assert turn.detail["after"] == "no GPU (H100:2) to be had"
    assert launched.id != done.id
    assert bench.launcher.find(launched.id).id == done.id, "the id that was given first still names the job"


def test_the_abandoned_sandbox_is_gone_before_the_next_is_made(bench: Bench) -> None:
    bench.engine.hold_gpus(H100=4)
    bench.engine.set_faults({"call": "SandboxTerminate*", "action": "refuse", "times": 4})
    launched = up(bench, "sleep 60")
    wait_until(lambda: bench.launcher.find(launched.key).state is JobState.RUNNING)
    now = bench.launcher.find(launched.key)
    assert bench.running() == [now.id] != [launched.id]
    bench.launcher.cancel(now.key)


def test_a_killed_keeper_leaves_the_turn_to_the_next_one(bench: Bench) -> None:
    bench.engine.hold_gpus(H100=4)
    launched = up(bench, SCRIPT)
    bench.kill_keepers()
    wait_until(lambda: bench.launcher.find(launched.key).done)
    done = bench.launcher.find(launched.key)
    assert (done.state, json.loads(done.metadata)["tried"]) == (JobState.SUCCEEDED, ["H100:2"])


def test_what_the_service_refuses_for_want_of_capacity_is_not_asked_for_again(bench: Bench) -> None:
    bench.engine.set_faults(
        {
            "call": "SandboxCreate",
            "action": "refuse",
            "status": "RESOURCE_EXHAUSTED",
            "message": "No capacity for this GPU.",
            "times": 1,
        }
    )
    done = bench.ended(up(bench, SCRIPT, wait_for_gpu=None))
    assert (done.state, json.loads(done.metadata)["tried"]) == (JobState.SUCCEEDED, ["H100:2"])


def test_where_none_is_to_be_had_the_job_fails_and_leaves_nothing(bench: Bench) -> None:
    bench.engine.hold_gpus(H100=4, **{"A100-80GB": 1})
    launched = up(bench, "sleep 60")
    wait_until(lambda: bench.launcher.find(launched.key, cached=True).done)
    failed = bench.launcher.find(launched.key)
    told = json.loads(failed.metadata)
    assert (failed.state, failed.reason) == (JobState.FAILED, Reason.LAUNCH_FAILED)
    assert (told["gpu"], told["tried"]) == ("A100-80GB:1", ["H100:2"])
    assert bench.running() == []


def test_beside_others_a_candidate_is_waited_for_five_minutes(bench: Bench) -> None:
    bench.engine.hold_gpus(H100=4)
    launched = up(bench, "sleep 60", wait_for_gpu=None)
    assert bench.launcher.job(launched.key).wait_for_gpu_s == WAIT_BESIDE_OTHERS_S == 300
    bench.launcher.cancel(launched.key)
