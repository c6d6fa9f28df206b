"""CPU and memory."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trebuchet.errors import shown

if TYPE_CHECKING:
    from trebuchet.plan.accelerators import Gpu
    from trebuchet.plan.alternatives import Alternative
    from trebuchet.plan.findings import Findings
    from trebuchet.plan.machine import Machine, Place

VCPUS_PER_CORE = 2
"""Job files count vCPUs; Modal counts physical cores."""

MODAL_CORES = 0.125
MODAL_MEMORY_MIB = 128
"""What Modal reserves for a sandbox that asks for nothing."""

_VCPUS_PER_GPU = 4
_GIB_PER_GPU = 16
_WHY_DEFAULT = "the file names none, and too little would be given by default for a GPU job"

_ABSURD = 1e9

_CPUS = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*(\+?)")
_MEMORY = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*(x|[kmgt]?i?b?)\s*(\+?)", re.IGNORECASE)
_MIB = {"k": 1 / 1024, "m": 1, "g": 1024, "": 1024, "t": 1024 * 1024}


@dataclass(frozen=True, slots=True)
class Compute:
    """A request, in Modal's units: physical cores and MiB; None for the cloud's own default."""

    cpu: float | None
    memory_mib: int | None


def compute(wanted: Alternative, gpu: Gpu | None, place: Place, findings: Findings) -> Compute:
    """What one candidate asks for."""
    vcpus = _vcpus(wanted, gpu, findings)
    memory_mib = _memory_mib(wanted, gpu, vcpus, findings)
    if place.machine is not None:
        vcpus, memory_mib = _within(place.machine, wanted, vcpus, memory_mib, findings)
    if place.cloud == "modal" and gpu is None:
        _note_defaults(wanted, findings)
    return Compute(None if vcpus is None else vcpus / VCPUS_PER_CORE, memory_mib)


def _note_defaults(wanted: Alternative, findings: Findings) -> None:
    """Say how little a job gets that names no cores or memory; SkyPilot's smallest machines have far more."""
    defaults = {"cpus": f"{MODAL_CORES:g} of a physical core", "memory": f"{MODAL_MEMORY_MIB} MiB of memory"}
    left = [name for name in defaults if wanted.get(name) is None]
    if left:
        given = " and ".join(defaults[name] for name in left)
        more = " ".join(f"--resources.{name} N" for name in left)
        findings.noted(
            wanted.place(left[0]),
            f"Modal's default is asked for, {given}",
            f"the file names none; {more} asks for more",
        )


def _vcpus(wanted: Alternative, gpu: Gpu | None, findings: Findings) -> float | None:
    field, value = wanted.place("cpus"), wanted.get("cpus")
    findings.translated(field)
    if value is None:
        if gpu is None:
            return None
        vcpus = _VCPUS_PER_GPU * gpu.count
        findings.noted(field, f"{_VCPUS_PER_GPU} vCPUs are asked for with each GPU", _WHY_DEFAULT)
        return float(vcpus)
    match = _CPUS.fullmatch(_text(value))
    number = float(match[1]) if match else 0.0
    if not 0 < number < _ABSURD:
        findings.refused(field, f"{shown(value)} is not a number of vCPUs", "write it like 4 or 4+")
        return None
    return number


def _memory_mib(wanted: Alternative, gpu: Gpu | None, vcpus: float | None, findings: Findings) -> int | None:
    field, value = wanted.place("memory"), wanted.get("memory")
    findings.translated(field)
    if value is None:
        if gpu is None:
            return None
        gib = _GIB_PER_GPU * gpu.count
        findings.noted(field, f"{_GIB_PER_GPU} GiB are asked for with each GPU", _WHY_DEFAULT)
        return gib * 1024
    match = _MEMORY.fullmatch(_text(value))
    if match is None or not 0 < float(match[1]) < _ABSURD:
        findings.refused(
            field, f"{shown(value)} is not an amount of memory", "write it like 32, 32+, 64GB or 2x"
        )
        return None
    unit = match[2].lower()
    if unit != "x":
        return math.ceil(float(match[1]) * _MIB[unit.rstrip("b").rstrip("i")])
    if vcpus is None:
        findings.refused(
            field, f"{shown(value)} says GiB per vCPU, and the file names no cpus", "name cpus too"
        )
        return None
    return math.ceil(float(match[1]) * vcpus * 1024)


def _text(value: Any) -> str:
    return str(value).strip()


def _within(
    machine: Machine, wanted: Alternative, vcpus: float | None, memory_mib: int | None, findings: Findings
) -> tuple[float | None, int | None]:
    if vcpus is not None and machine.cpus is not None and vcpus > machine.cpus:
        findings.noted(
            wanted.place("cpus"), f"{machine.cpus:g} of {vcpus:g} vCPUs are given", "this machine has no more"
        )
        vcpus = machine.cpus
    if memory_mib is not None and machine.memory_mib is not None and memory_mib > machine.memory_mib:
        given, asked = machine.memory_mib / 1024, memory_mib / 1024
        findings.noted(
            wanted.place("memory"), f"{given:.3g} of {asked:g} GiB are given", "this machine has no more"
        )
        memory_mib = machine.memory_mib
    return vcpus, memory_mib
