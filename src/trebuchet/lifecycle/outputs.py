"""Where a job's outputs are: a folder of one Volume for all jobs, mounted so that a job sees only its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from trebuchet.sandbox import VolumeMount

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trebuchet.sandbox import SandboxSpec
    from trebuchet.settings import Settings

PLACE = "/outputs"


def outputs_mount(
    settings: Settings, key: str, spec: SandboxSpec, keep: Sequence[str] | Literal[False]
) -> VolumeMount | None:
    """The mount of a job's outputs; None where it wants none, or mounts something there itself."""
    taken = {mount.path.rstrip("/") for mount in (*spec.volumes, *spec.buckets)}
    if keep is False or not settings.outputs_volume or PLACE in taken:
        return None
    return VolumeMount(name=settings.outputs_volume, path=PLACE, sub_path=key, many_writers=True)
