"""Environment variables: the user's, and those that both tools set for the scripts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trebuchet.plan.places import is_placeholder
from trebuchet.plan.script import ARGUMENT_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trebuchet.job import JobConfig
    from trebuchet.plan.accelerators import Gpu
    from trebuchet.plan.findings import Findings

_MOST_BYTES = 1_000_000
"""Kept well below what a program can be given, since its arguments count too."""

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def environment(job: JobConfig, findings: Findings) -> dict[str, str]:
    """The values of `envs` and `secrets`; what is said about them never holds a value."""
    values: dict[str, str] = {}
    for section, variables in (("envs", job.envs), ("secrets", job.secrets)):
        findings.known(section)
        option = "--env" if section == "envs" else "--secret"
        for name, value in variables.items():
            field = f"{section}.{name}"
            if fault := _fault(name, value):
                findings.refused(field, fault[0], fault[1].format(option=option, name=name))
            elif name in _SET_BY_US:
                findings.noted(field, "is not used", "it is set to what holds for the sandbox")
            elif value is not None:
                findings.translated(field)
                values[name] = str(value)
                if is_placeholder(values[name]):
                    why = "it looks like a placeholder that nobody replaced"
                    findings.noted(field, "is set as it stands there", why)
    if sum(len(name) + len(value.encode(errors="replace")) for name, value in values.items()) > _MOST_BYTES:
        findings.refused(
            "envs",
            f"all variables come to more than {_MOST_BYTES:,} bytes",
            "put them in a file, and mount it",
        )
    return values


def _fault(name: str, value: str | None) -> tuple[str, str] | None:
    """What is wrong with a variable, and the way out; None where nothing is."""
    if not _NAME.fullmatch(name):
        return "no environment variable can have this name", "letters, digits and _, beginning with no digit"
    if value is None:
        return "it has no value", "give it one: {option} {name}=VALUE, or {option} {name} for your own"
    if "\0" in str(value):
        return "it holds a NUL byte, which no environment can carry", "take it out"
    try:
        size = len(name) + 1 + len(str(value).encode())
    except UnicodeEncodeError:
        return "it is not valid text", "encode it, as base64 for instance"
    if size > ARGUMENT_BYTES:
        return (
            f"it has {size:,} bytes, more than a program can be given",
            "put it in a file, and list it in file_mounts",
        )
    return None


def tool_variables(gpu: Gpu | None) -> Mapping[str, str]:
    """What SkyPilot sets for the scripts it runs; Oumi's are run by SkyPilot, and read the same names.

    `SKYPILOT_TASK_ID` is missing here: a launch adds it, since it names the launch.
    """
    gpus = str(gpu.count if gpu else 0)
    return {
        "SKYPILOT_NODE_RANK": "0",
        "SKYPILOT_NODE_IPS": "127.0.0.1",
        "SKYPILOT_NUM_NODES": "1",
        "SKYPILOT_NUM_GPUS_PER_NODE": gpus,
        "SKYPILOT_SETUP_NODE_RANK": "0",
        "SKYPILOT_SETUP_NODE_IPS": "127.0.0.1",
        "SKYPILOT_SETUP_NUM_NODES": "1",
        "SKYPILOT_SETUP_NUM_GPUS_PER_NODE": gpus,
    }


_SET_BY_US = frozenset(
    {*tool_variables(None), "SKYPILOT_TASK_ID", "TREBUCHET_ATTEMPT", "TREBUCHET_OUTPUTS", "TREBUCHET_RESUME"}
)
"""What the wrapper sets for the scripts, whatever the environment says."""
