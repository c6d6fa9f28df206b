"""A process that does one thing with the launcher, to be killed meanwhile: `child.py ACTION KEY [GPU]`."""

from __future__ import annotations

import sys
from typing import Any

import grpclib.client

from trebuchet import JobConfig, JobResources, Launcher
from trebuchet.lifecycle.steps import step

VALUES = {"SECRET": "canary-value"}
AGAIN: dict[str, Any] = {
    "up-restarted": {
        "run": "[ $TREBUCHET_ATTEMPT = 1 ] && exit 1; sleep 300",
        "max_restarts": 1,
        "envs": VALUES,
    },
    "up-chained": {
        "run": "trap 'exit 0' TERM; sleep 300 & wait",
        "timeout": 300,
        "envs": VALUES,
    },
}
"""Jobs whose first attempt soon ends, and whose second does not."""


def count_calls() -> None:
    """Let every single call on the wire be a step, beside those that the launcher itself counts."""
    request, leave = grpclib.client.Channel.request, grpclib.client.Stream.__aexit__

    def counted_request(channel: Any, name: str, *arguments: Any, **options: Any) -> Any:
        step(f"before call {name}")
        return request(channel, name, *arguments, **options)

    async def counted_leave(stream: Any, *arguments: Any) -> Any:
        answer = await leave(stream, *arguments)
        step("after call")
        return answer

    grpclib.client.Channel.request = counted_request
    grpclib.client.Stream.__aexit__ = counted_leave


def main() -> None:
    count_calls()
    action, key, *gpu = sys.argv[1:]
    launcher = Launcher()
    if action in AGAIN:
        fields = AGAIN[action]
        launcher.up(JobConfig(name="chaos", resources=JobResources(cloud="local"), **fields), key, key=key)
    elif action == "reconcile":
        launcher.reconcile()  # The end of one attempt,
        launcher.reconcile()  # and the beginning of the next.
    elif action == "up":
        resources = JobResources(cloud="local", accelerators=gpu[0] if gpu else None)
        envs = {"SECRET": "canary-value"} if gpu else {}
        launcher.up(JobConfig(name="chaos", run="sleep 300", resources=resources, envs=envs), key, key=key)
    elif action == "up-many":
        jobs = [JobConfig(name="chaos", run="sleep 300", resources=JobResources(cloud="local"))] * 3
        launcher.up_many(jobs, key)
    elif action == "cancel":
        launcher.cancel(key)
    else:
        launcher.down("local", key)


main()
