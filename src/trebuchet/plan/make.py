"""From a job to a plan: each part looks at its own fields, and all that was found is held against the input."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from trebuchet.plan.account import close_account, leaves
from trebuchet.plan.accelerators import gpus
from trebuchet.plan.alternatives import alternatives
from trebuchet.plan.compute import compute
from trebuchet.plan.environment import environment, tool_variables
from trebuchet.plan.findings import Findings
from trebuchet.plan.image import image
from trebuchet.plan.model import Plan
from trebuchet.plan.script import WORK_DIR, script_argv
from trebuchet.sandbox import SandboxSpec, Upload, VolumeMount

if TYPE_CHECKING:
    from trebuchet.job import JobConfig
    from trebuchet.plan.machine import Machine

HF_CACHE = "/root/.cache/huggingface"


def make_plan(
    job: JobConfig,
    *,
    cloud: str,
    cache_volume: str = "trebuchet-hf-cache",
    machine: Machine | None = None,
    here: Path = Path(),
    home: Path | None = None,
) -> Plan:
    """Say what would be asked of the control plane for a job. Makes no I/O.

    Args:
        job: What the user asked for.
        cloud: `modal` or `local`; where `job.resources.cloud` says otherwise, this wins.
        cache_volume: The Volume mounted at the HuggingFace cache; empty for none.
        machine: What the local machine has; None where unknown, and on Modal.
        here: The folder where relative local paths start.
        home: What `~` means in local paths; None leaves it to whoever reads them.

    Raises:
        PlanError: The job cannot be run as written; with every refusal.
    """
    findings = Findings()
    findings.translated("name", "user", "setup", "run", "timeout", "working_dir", "resources.cloud")
    if not job.run.strip():
        findings.refused("run", "run is empty: there is nothing to run.", "write the script that is the job")
    if job.num_nodes == 1:
        findings.translated("num_nodes")
    else:
        findings.refused("num_nodes", f"num_nodes: {job.num_nodes}; only 1 can be run.", "--num-nodes 1")
    env = environment(job, findings)
    specs: list[SandboxSpec] = []
    for wanted in alternatives(job):
        for gpu in gpus(wanted, cloud, machine, findings):
            asked = compute(wanted, gpu, machine, findings)
            specs.append(
                SandboxSpec(
                    argv=script_argv(job),
                    image=image(wanted, findings),
                    workdir=WORK_DIR,
                    env=env,
                    variables=tool_variables(gpu),
                    gpu=str(gpu) if gpu else None,
                    cpu=asked.cpu,
                    memory_mib=asked.memory_mib,
                    timeout_s=job.timeout or 86_400,
                    uploads=_work_dir(job, here),
                    volumes=(VolumeMount(name=cache_volume, path=HF_CACHE),) if cache_volume else (),
                )
            )
    for leaf in leaves(job) - {*findings.settled}:
        if not any(leaf.startswith(f"{field}.") for field in findings.settled):
            findings.refused(leaf, f"{leaf} has no meaning here yet.")
    return Plan(
        account=close_account(job, findings),
        candidates=tuple(specs),
        notes=tuple(findings.notes),
        dialect=job.dialect,
        cloud=cloud,
    )


def _work_dir(job: JobConfig, here: Path) -> tuple[Upload, ...]:
    if job.working_dir is None:
        return ()
    return (Upload(source=here / job.working_dir, target=WORK_DIR, role="workdir"),)
