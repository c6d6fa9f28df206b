"""The image: one that the user names, untouched; else the default one with what the scripts call for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from trebuchet.errors import shown
from trebuchet.plan import tools
from trebuchet.sandbox import ImageSpec

if TYPE_CHECKING:
    from collections.abc import Collection

    from trebuchet.job import JobConfig
    from trebuchet.plan.accelerators import Gpu
    from trebuchet.plan.alternatives import Alternative
    from trebuchet.plan.findings import Findings
    from trebuchet.plan.machine import Machine, Place

_PIP = ("awscli",)
_CUDA_BASE = "nvidia/cuda:12.8.1-devel-ubuntu24.04"
_PYTHON_ON_CUDA = "3.12"
_CONDA = (
    "curl -fsSL https://github.com/conda-forge/miniforge/releases/latest/download/"
    "Miniforge3-Linux-$(uname -m).sh -o /tmp/miniforge.sh && bash /tmp/miniforge.sh -b -p /opt/conda"
    " && rm /tmp/miniforge.sh"
    # A login shell reads profile.d, and so knows `conda activate`; scripts for VMs look below the home.
    " && ln -s /opt/conda/etc/profile.d/conda.sh /etc/profile.d/conda.sh && ln -s /opt/conda /root/miniconda3"
)
_CLOUD_IMAGE = re.compile(r"ami-[0-9a-f]+|skypilot:.*|projects/.*|https?://.*|/subscriptions/.*|ocid1.*")
_REFERENCE = re.compile(
    r"[a-z0-9][\w.-]*(?::\d+)?(?:/[a-z0-9][\w.-]*)*(?::[\w][\w.-]{0,127})?(?:@sha256:[0-9a-f]{64})?"
)
_SERVER = "SKYPILOT_DOCKER_SERVER"
_LOGIN = ("SKYPILOT_DOCKER_USERNAME", "SKYPILOT_DOCKER_PASSWORD")


def image(
    job: JobConfig, wanted: Alternative, gpu: Gpu | None, place: Place, findings: Findings
) -> ImageSpec:
    """The image of one candidate."""
    field, value = wanted.place("image_id"), wanted.get("image_id")
    findings.translated(field)
    script = f"{job.setup or ''}\n{job.run}"
    if tools.wants_docker(script):
        where = "setup" if tools.wants_docker(job.setup or "") else "run"
        findings.noted(
            where, "is run as it is", "it calls docker, and there is no Docker daemon in a sandbox"
        )
    secret = _secret(job, findings)
    if value is None:
        there = () if place.machine is None else place.machine.programs or ()
        _note_not_brought(job, tools.not_brought(script, there), findings)
        if secret:
            findings.noted("image_secret", "is not used", "the default image needs no login")
        if place.cloud == "local" and place.machine is not None and place.machine.programs is not None:
            return _on_machine(script, place.machine, place.machine.programs, findings)
        return _default(script, gpu, place.cloud)
    reference = _reference(field, value, findings)
    if reference is None:
        return ImageSpec()
    reference = _on_server(job, reference, findings)
    if secret is not None:
        return ImageSpec(registry_ref=reference, registry_secret=secret)
    return ImageSpec(registry_ref=reference, registry_login=_login(job))


def _note_not_brought(job: JobConfig, commands: list[str], findings: Findings) -> None:
    for command in commands:
        where = "setup" if tools.calls(job.setup or "", command) else "run"
        why = "it is installed by nothing here; do so in setup, or name an image that has it"
        findings.noted(where, f"calls {command}", why)


def _secret(job: JobConfig, findings: Findings) -> str | None:
    """The named secret that opens the registry, if the job names one."""
    field, name = "image_secret", job.image_secret
    findings.translated(field)
    if name is None:
        return None
    if not name.strip():
        findings.refused(field, "it names no secret", "name one of the control plane's, or leave it out")
        return None
    return name


def _login(job: JobConfig) -> tuple[str, str] | None:
    given = {**job.envs, **job.secrets}
    return _LOGIN if all(given.get(name) for name in _LOGIN) else None


def _on_server(job: JobConfig, reference: str, findings: Findings) -> str:
    """The reference with the registry's name before it, where a variable names that."""
    if job.secrets.get(_SERVER):
        findings.refused(f"secrets.{_SERVER}", "it is no secret, since the image's name shows it", "use envs")
    server = (job.envs.get(_SERVER) or "").rstrip("/")
    return f"{server}/{reference}" if server and not reference.startswith(f"{server}/") else reference


def _default(script: str, gpu: Gpu | None, cloud: str) -> ImageSpec:
    cuda = gpu is not None and cloud == "modal" and tools.wants_nvcc(script)
    return ImageSpec(
        registry_ref=_CUDA_BASE if cuda else None,
        python_version=_PYTHON_ON_CUDA if cuda else None,
        apt_packages=tuple(dict.fromkeys((*tools.BASICS.values(), *tools.debian_packages(script)))),
        pip_packages=(*_PIP, "uv") if tools.wants_uv(script) else _PIP,
        commands=(_CONDA,) if tools.wants_conda(script) else (),
    )


def _on_machine(script: str, machine: Machine, there: Collection[str], findings: Findings) -> ImageSpec:
    """What the machine's own system, which the default image is here, lacks of what scripts call for."""
    conda = "conda" not in there and tools.wants_conda(script)
    lacks = tools.missing(f"{script}\ncurl" if conda else script, there)
    commands = [_CONDA] if conda else []
    if "apt-get" not in there:
        if lacks:
            why = f"this machine lacks what it calls ({', '.join(lacks)}), and apt-get to add it"
            findings.noted("run", "is run as it is", why)
        lacks = {}
    elif not lacks and not machine.package_lists and tools.calls(script, "apt-get", "apt"):
        commands.insert(0, "apt-get update")
    return ImageSpec(
        apt_packages=tuple(dict.fromkeys(lacks.values())),
        pip_packages=_PIP if "aws" not in there and tools.calls(script, "aws") else (),
        commands=tuple(commands),
    )


def _reference(field: str, value: Any, findings: Findings) -> str | None:
    text = str(value).strip()
    name = text.removeprefix("docker:")
    if _CLOUD_IMAGE.fullmatch(text):
        findings.refused(field, f"{text} is another cloud's image", "name one of a registry: docker:REF")
        return None
    if not _REFERENCE.fullmatch(name):
        findings.refused(field, f"{shown(text)} is no image", "write docker:REPOSITORY:TAG")
        return None
    if name == text:
        findings.noted(field, f"is taken as docker:{name}", "it looks like an image of a registry")
    return name
