"""From a job to a plan: each part looks at its own fields, and what they found is held against the input."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from trebuchet.plan.accelerators import gpus
from trebuchet.plan.account import close_account
from trebuchet.plan.alternatives import alternatives, overridden
from trebuchet.plan.cache import cache_mount
from trebuchet.plan.clouds import alternative_cloud, cloud_named
from trebuchet.plan.compute import compute
from trebuchet.plan.disk import machine_kind
from trebuchet.plan.duration import timeout_s
from trebuchet.plan.environment import environment, tool_variables
from trebuchet.plan.findings import Findings
from trebuchet.plan.hidden import refuse_hidden
from trebuchet.plan.image import image
from trebuchet.plan.machine import Place
from trebuchet.plan.model import Plan
from trebuchet.plan.outputs import outputs
from trebuchet.plan.priority import priority
from trebuchet.plan.promises import promises, resource_promises
from trebuchet.plan.reach import OUR_TAGS, ports, tags
from trebuchet.plan.regions import regions
from trebuchet.plan.restarts import restarts
from trebuchet.plan.script import WORK_DIR
from trebuchet.plan.scripts import command
from trebuchet.plan.storage import Storage
from trebuchet.plan.uploads import GitSource, LocalPaths, file_mounts, work_dir
from trebuchet.sandbox import SandboxSpec, Upload

if TYPE_CHECKING:
    from trebuchet.job import JobConfig
    from trebuchet.plan.alternatives import Alternative
    from trebuchet.plan.machine import Machine


def make_plan(
    job: JobConfig,
    *,
    cloud: str,
    cache_volume: str = "trebuchet-hf-cache",
    tag_prefix: str = OUR_TAGS,
    machine: Machine | None = None,
    here: Path = Path(),
    home: Path | None = None,
) -> Plan:
    """Say what would be asked of the control plane for a job. Makes no I/O.

    Args:
        job: What the user asked for.
        cloud: `modal` or `local`. Where the job names another, somebody has chosen, and this one holds.
        cache_volume: The Volume mounted at the HuggingFace cache; empty for none.
        tag_prefix: What the names of our own tags begin with; no label may begin so.
        machine: What the local machine has; None where unknown, and on Modal.
        here: The folder where relative local paths start.
        home: What `~` means in local paths; None leaves it to whoever reads them.

    Raises:
        PlanError: The job cannot be run as written; with every refusal.
    """
    findings = Findings()
    findings.translated("name", "user")
    findings.known("resources", "resources.any_of")
    findings.known(*(f"resources.any_of.{index}" for index in range(len(job.resources.any_of))))
    cloud_named(job, cloud, findings)
    _nodes(job, findings)
    promises(job, findings)
    again = restarts(job, findings)
    outputs(job, findings)
    common, sources = _common(job, cloud, cache_volume, LocalPaths(here, home), findings)
    candidates = _candidates(job, Place(cloud, machine, tag_prefix), common, findings)
    account, notes = close_account(job, findings)
    return Plan(
        account=account,
        candidates=tuple(candidates),
        notes=notes,
        dialect=job.dialect,
        cloud=cloud,
        restarts=again,
        sources=sources,
    )


def require_cloud(job: JobConfig) -> None:
    """Look whether the cloud that a job names is one of ours, before there is a cloud to plan for.

    Raises:
        PlanError: It is not.
    """
    findings = Findings()
    cloud_named(job, job.resources.cloud or "", findings)
    if findings.refusals:
        close_account(job, findings)


def _nodes(job: JobConfig, findings: Findings) -> None:
    findings.translated("num_nodes")
    if job.num_nodes != 1:
        findings.refused("num_nodes", f"{job.num_nodes} nodes cannot be had, only 1", "--num-nodes 1")


def _common(
    job: JobConfig, cloud: str, cache_volume: str, paths: LocalPaths, findings: Findings
) -> tuple[SandboxSpec, dict[str, Upload]]:
    """What all candidates have in common, and its uploads by their fields."""
    env = environment(job, findings)
    # Not as merged: a secret may have the name of a variable that the file gives, and paths are shown.
    public = {name: str(value) for name, value in job.envs.items() if name in env and value is not None}
    source = work_dir(job, public, paths, findings)
    uploads = file_mounts(job, public, paths, findings)
    storage = Storage(job, public, cloud, findings)
    storage.collect()
    arriving = [(field, upload.target) for field, upload in uploads.items()]
    refuse_hidden(arriving, storage.places.values(), findings)
    volumes = storage.volumes
    if all(volume.name != cache_volume for volume in volumes):
        cache = cache_mount(cache_volume, [*arriving, *storage.places.items()], findings)
        volumes = [*volumes, cache] if cache else volumes
    git = source if isinstance(source, GitSource) else None
    sources = {"working_dir": source, **uploads} if isinstance(source, Upload) else uploads
    folders = [volume.path for volume in volumes if volume.name is None]
    mounts = [mount.path for mount in (*volumes, *storage.buckets) if mount.path not in folders]
    runs = command(job, git, findings, folders=folders, mounts=mounts)
    common = SandboxSpec(
        argv=runs.argv,
        scripts=runs.scripts,
        workdir=WORK_DIR,
        env=env,
        timeout_s=timeout_s(job, findings),
        uploads=tuple(sources.values()),
        volumes=tuple(volumes),
        buckets=tuple(storage.buckets),
    )
    return common, sources


def _candidates(job: JobConfig, place: Place, common: SandboxSpec, findings: Findings) -> list[SandboxSpec]:
    """In order of preference, each once. An alternative that cannot be had is noted where another one can."""
    found: list[SandboxSpec] = []
    apart: list[tuple[Alternative, Findings]] = []
    for wanted in alternatives(job, findings):
        about = Findings()
        apart.append((wanted, about))
        for spec in _alternative(job, wanted, place, common, about):
            if spec not in found and not about.refusals:
                found.append(spec)
    dropped = [(wanted, about) for wanted, about in apart if about.refusals and found]
    findings.adopt(about for wanted, about in apart if (wanted, about) not in dropped)
    for wanted, about in dropped:
        findings.adopt_as_dropped(about, wanted.places.values())
    for field, said in overridden(job).items():
        if said and field not in findings.settled:
            findings.noted(field, "is not used", "each alternative says otherwise")
        findings.translated(field)
    return found


def _alternative(
    job: JobConfig, wanted: Alternative, place: Place, common: SandboxSpec, findings: Findings
) -> list[SandboxSpec]:
    alternative_cloud(job, wanted, place.cloud, findings)
    machine_kind(wanted, place.cloud, findings)
    resource_promises(wanted, findings)
    spec = replace(
        common,
        regions=regions(wanted, place.cloud, findings),
        ports=ports(wanted, findings),
        tags={**tags(wanted, place.tag_prefix, findings), **priority(wanted, place.cloud, findings)},
    )
    found: list[SandboxSpec] = []
    for gpu in gpus(wanted, place.cloud, place.machine, findings):
        asked = compute(wanted, gpu, place, findings)
        found.append(
            replace(
                spec,
                image=image(job, wanted, gpu, place, findings),
                gpu=str(gpu) if gpu else None,
                cpu=asked.cpu,
                memory_mib=asked.memory_mib,
                variables=tool_variables(gpu),
            )
        )
    return found
