"""Fields that promise what a single sandbox cannot keep, and those that only other launchers need."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trebuchet.plan.accelerators import names_other_chips

if TYPE_CHECKING:
    from trebuchet.job import JobConfig
    from trebuchet.plan.alternatives import Alternative
    from trebuchet.plan.findings import Findings

_REFUSED = {
    "pool": ("a pool of workers is no single job", "launch its jobs one by one"),
    "config": ("it holds settings of another launcher", "take it out"),
    "managed_secrets": (
        "their values lie with another launcher's server",
        "list them under secrets, and give each with --secret NAME",
    ),
    "experimental": ("it holds settings of another launcher", "take it out"),
    "event_callback": (
        "nothing here calls a command on events",
        "take it out, or watch with trebuchet status",
    ),
    "execution": ("several tasks in a row are no single job", "run them one by one: --task NAME"),
}
_NOTED = {
    "api_server_access": "no server of another launcher is reached, and no variable names one",
    "inputs": "it is an estimate for another launcher",
    "outputs": "it is an estimate for another launcher",
}
_REFUSED_RESOURCES = {
    "max_hourly_cost": ("a budget by the hour cannot be kept", "max_cost limits what the whole job may cost"),
    "accelerator_args": ("it is for TPUs", "take it out"),
    "volumes": ("disks of a cloud cannot be attached", "use a Volume: volumes: {/data: NAME}"),
    "image_id_map": ("images of another cloud's regions cannot be had", "name one of a registry: docker:REF"),
    "config_overrides": ("it holds settings of another launcher", "take it out"),
}


def promises(job: JobConfig, findings: Findings) -> None:
    """Account for the fields beside `resources` that have no place of their own."""
    findings.known("service", *_NOTED, *_REFUSED)
    for name in job.extras:
        if name in _NOTED:
            findings.noted(name, "is not used", _NOTED[name])
        elif name in _REFUSED:
            why, hint = _REFUSED[name]
            findings.refused(name, f"{why}", hint)
    if "service" in job.extras:
        _service(job, findings)


def _service(job: JobConfig, findings: Findings) -> None:
    if job.as_task:
        findings.noted("service", "is left out", "its run was asked to run once, as a job")
    else:
        findings.refused(
            "service",
            "one sandbox is no service that is kept alive and balanced",
            "--as-task runs it as a job",
        )


def resource_promises(wanted: Alternative, findings: Findings) -> None:
    """Account for the like in one alternative."""
    for name, (why, hint) in _REFUSED_RESOURCES.items():
        field = wanted.place(name)
        findings.translated(field)
        if name == "accelerator_args" and names_other_chips(wanted):
            findings.noted(field, "is not used", why)  # What is to be said is said of the chips.
        elif wanted.get(name) is not None:
            findings.refused(field, f"{why}", hint)
    for name in ("job_recovery", "spot_recovery"):
        findings.known(wanted.place(name))
        if wanted.get(name) is not None:
            why = "one policy holds for the job; write it beside the alternatives"
            findings.noted(wanted.place(name), "is not used", why)
