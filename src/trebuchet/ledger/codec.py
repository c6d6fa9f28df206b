"""Recipes as JSON: what can be written down, which is everything but the values of an environment."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from trebuchet.ledger.records import Recipe

if TYPE_CHECKING:
    from trebuchet.job import JobConfig
    from trebuchet.sandbox import SandboxSpec, Upload


def config_as_data(job: JobConfig) -> dict[str, Any]:
    """A job's content with `envs` and `secrets` reduced to their names."""
    # Where its fields stood in a file that may have changed since is of no use to anybody.
    nameless = replace(job, envs=dict.fromkeys(job.envs), secrets=dict.fromkeys(job.secrets), positions={})
    data: dict[str, Any] = json.loads(_as_json(nameless))
    return data


def config_from_data(data: Mapping[str, Any]) -> JobConfig:
    """The way back from `config_as_data`, values still left out; so is what was written down beside it."""
    # A status decodes nothing, and these take a while to import.
    from trebuchet.job import JobConfig, JobResources, StorageMount  # noqa: PLC0415

    storage: dict[str, Any] = data["storage_mounts"]
    names = {field.name for field in fields(JobConfig)}
    values: dict[str, Any] = {
        **{name: value for name, value in data.items() if name in names},
        "resources": JobResources(**data["resources"]),
        "storage_mounts": {place: StorageMount(**mount) for place, mount in storage.items()},
        "source": Path(data["source"]) if data["source"] else None,
    }
    return JobConfig(**values)


def encode_candidates(candidates: tuple[SandboxSpec, ...]) -> str:
    return _as_json([replace(spec, env={}) for spec in candidates])


def _as_json(value: Any) -> str:
    return json.dumps(value, default=_plain)


def _plain(value: Any) -> Any:
    """What JSON has no word for; `asdict` would copy all that it has words for, field by field."""
    if is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    return dict(cast("Mapping[Any, Any]", value)) if isinstance(value, Mapping) else str(value)


def decode_recipe(config: str, candidates: str, prices: str) -> Recipe:
    return Recipe(
        config=json.loads(config),
        candidates=tuple(_spec(data) for data in json.loads(candidates)),
        prices=tuple(json.loads(prices)),
    )


def _spec(data: dict[str, Any]) -> SandboxSpec:
    from trebuchet.sandbox import BucketMount, ImageSpec, SandboxSpec, VolumeMount  # noqa: PLC0415 - as above

    image: dict[str, Any] = dict(data["image"])
    for name in ("apt_packages", "pip_packages", "commands"):
        image[name] = tuple(image[name])
    values: dict[str, Any] = {
        **data,
        "argv": tuple(data["argv"]),
        "image": ImageSpec(**image),
        "secrets": tuple(data["secrets"]),
        "regions": tuple(data["regions"]),
        "uploads": tuple(_upload(one) for one in data["uploads"]),
        "volumes": tuple(VolumeMount(**one) for one in data["volumes"]),
        "buckets": tuple(BucketMount(**one) for one in data["buckets"]),
        "ports": tuple(data["ports"]),
    }
    return SandboxSpec(**values)


def _upload(data: dict[str, Any]) -> Upload:
    from trebuchet.sandbox import Upload  # noqa: PLC0415 - as above

    return Upload(source=Path(data["source"]), target=data["target"], role=data["role"])
