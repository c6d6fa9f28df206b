"""Disk, network and the kind of machine: accepted where a sandbox has it anyway."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from trebuchet.errors import shown

if TYPE_CHECKING:
    from trebuchet.plan.alternatives import Alternative
    from trebuchet.plan.findings import Findings

MOST_GIB = 512
"""What a sandbox's disk holds on Modal."""

_SIZE = re.compile(r"(\d+(?:\.\d*)?)\s*([mgtp]?)i?b?\+?", re.IGNORECASE)
_GIB = {"m": 1 / 1024, "": 1, "g": 1, "t": 1024, "p": 1024 * 1024}

_NOT_USED = {
    "ephemeral_storage": "sandboxes take no disk request",
    "disk_tier": "sandboxes have one kind of disk",
    "network_tier": "sandboxes have one kind of network",
    "local_disk": "sandboxes have one kind of disk",
    "autostop": "a sandbox ends with its job, and nothing is left to stop",
}


def machine_kind(wanted: Alternative, cloud: str, findings: Findings) -> None:
    """Account for what one alternative says about the machine, GPUs, CPU and memory aside."""
    _disk_size(wanted, cloud, findings)
    for name, why in _NOT_USED.items():
        field = wanted.place(name)
        findings.translated(field)
        if wanted.get(name) is not None:
            findings.noted(field, "is not used", why)
    _spot(wanted, cloud, findings)
    _instance_type(wanted, findings)


def _disk_size(wanted: Alternative, cloud: str, findings: Findings) -> None:
    field, value = wanted.place("disk_size"), wanted.get("disk_size")
    findings.translated(field)
    if value is None:
        return
    gib = _gib(value)
    if gib is None:
        findings.refused(field, f"{shown(value)} is not a disk size", "write GiB, like 256")
    elif cloud != "modal":
        findings.noted(field, "is not reserved", "the job uses this machine's disk")
    elif gib > MOST_GIB:
        findings.refused(
            field,
            f"{gib:g} GiB are more than the {MOST_GIB} GiB that a sandbox's disk holds",
            f"keep large data on a Volume (volumes: {{/data: NAME}}), and: --resources.disk_size {MOST_GIB}",
        )
    else:
        findings.noted(field, "is not reserved", f"sandboxes take no disk request, and have {MOST_GIB} GiB")


def _gib(value: Any) -> float | None:
    match = _SIZE.fullmatch(str(value).strip())
    return float(match[1]) * _GIB[match[2].lower()] if match else None


def _spot(wanted: Alternative, cloud: str, findings: Findings) -> None:
    field = wanted.place("use_spot")
    findings.translated(field)
    if wanted.get("use_spot") is not True:
        return
    if cloud == "modal":
        why = "there is no cheaper spot price; GPU sandboxes can be preempted all the same"
        findings.noted(field, "runs on demand", why)
    else:
        findings.noted(field, "is not used", "the job runs on this machine")


def _instance_type(wanted: Alternative, findings: Findings) -> None:
    field, value = wanted.place("instance_type"), wanted.get("instance_type")
    findings.translated(field)
    if value is None:
        return
    if any(wanted.get(name) is not None for name in ("accelerators", "cpus", "memory")):
        findings.noted(field, "is not used", "accelerators, cpus and memory say what is needed")
    else:
        findings.refused(
            field,
            f"{value} is another cloud's kind of machine",
            "say cpus and memory, and accelerators",
        )
