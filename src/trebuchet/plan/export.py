"""A plan as plain data for JSON: names of variables, never their values."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trebuchet.plan.model import Plan
    from trebuchet.sandbox import SandboxSpec, Upload


def plan_to_dict(plan: Plan) -> dict[str, Any]:
    """Only what JSON knows, in an order that does not change. The scripts are left out: the file has them."""
    return {
        "cloud": plan.cloud,
        "dialect": plan.dialect,
        "candidates": [_candidate(spec) for spec in plan.candidates],
        "restarts": None if plan.restarts is None else asdict(plan.restarts),
        "notes": [asdict(note) for note in plan.notes],
        "account": dict(sorted(plan.account.items())),
    }


def _candidate(spec: SandboxSpec) -> dict[str, Any]:
    return {
        "gpu": spec.gpu,
        "cpu": spec.cpu,
        "memory_mib": spec.memory_mib,
        "timeout_s": spec.timeout_s,
        "regions": list(spec.regions),
        "image": {**asdict(spec.image), **_lists(spec.image)},
        "workdir": spec.workdir,
        "env": sorted(spec.env),
        "secrets": list(spec.secrets),
        "variables": dict(sorted(spec.variables.items())),
        "uploads": [_upload(upload) for upload in spec.uploads],
        "volumes": [asdict(volume) for volume in spec.volumes],
        "buckets": [asdict(bucket) for bucket in spec.buckets],
        "ports": list(spec.ports),
        "tags": dict(sorted(spec.tags.items())),
    }


def _lists(image: object) -> dict[str, Any]:
    return {name: list(value) for name, value in vars(image).items() if isinstance(value, tuple)}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType] - tuples of text


def _upload(upload: Upload) -> dict[str, str]:
    return {"source": str(upload.source), "target": upload.target, "role": upload.role}
