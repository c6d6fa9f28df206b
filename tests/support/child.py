"""A process that does one thing with the launcher, to be killed while it does: `child.py ACTION KEY [GPU]`."""

from __future__ import annotations

import sys

from trebuchet import JobConfig, JobResources, Launcher


def main() -> None:
    action, key, *gpu = sys.argv[1:]
    launcher = Launcher()
    if action == "up":
        resources = JobResources(cloud="local", accelerators=gpu[0] if gpu else None)
        envs = {"SECRET": "canary-value"} if gpu else {}
        launcher.up(JobConfig(name="chaos", run="sleep 300", resources=resources, envs=envs), key, key=key)
    elif action == "cancel":
        launcher.cancel(key)
    else:
        launcher.down("local", key)


main()
