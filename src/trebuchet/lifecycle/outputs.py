"""Where a job's outputs are: a folder of one Volume for all jobs, mounted so that a job sees only its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from trebuchet.ledger import config_as_data
from trebuchet.sandbox import VolumeMount

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trebuchet.job import JobConfig
    from trebuchet.ledger import Recipe
    from trebuchet.sandbox import SandboxSpec
    from trebuchet.settings import Settings

PLACE = "/outputs"

_VOLUME = "outputs_volume"


def config_to_write(settings: Settings, job: JobConfig) -> dict[str, Any]:
    """What the ledger keeps of a job that is launched: its content, and where its outputs go from now on."""
    return {**config_as_data(job), _VOLUME: settings.outputs_volume}


def outputs_volume(settings: Settings, recipe: Recipe) -> str:
    """The Volume that a job was launched with; empty for none. The setting's where that is not known."""
    return recipe.config.get(_VOLUME, settings.outputs_volume)


def outputs_mount(
    volume: str, key: str, spec: SandboxSpec, keep: Sequence[str] | Literal[False]
) -> VolumeMount | None:
    """The mount of a job's outputs; None where it wants none, or mounts something there itself."""
    taken = {mount.path.rstrip("/") for mount in (*spec.volumes, *spec.buckets)}
    if keep is False or not volume or PLACE in taken:
        return None
    return VolumeMount(name=volume, path=PLACE, sub_path=key, many_writers=True)
