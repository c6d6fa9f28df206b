"""The Volume that keeps what HuggingFace's libraries download, so that a second job finds it there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trebuchet.plan.places import within
from trebuchet.sandbox import VolumeMount

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trebuchet.plan.findings import Findings

PLACE = "/root/.cache/huggingface"
_HUB = f"{PLACE}/hub"
_FIELD = "file_mounts"


def cache_mount(name: str, taken: Iterable[str], findings: Findings) -> VolumeMount | None:
    """Where the cache goes, given the places that the job's own files take; None where they leave it no room.

    A mount hides what lies below it, so a token that arrives in the cache's folder would be gone: then only
    the models below it are cached.
    """
    if not name:
        return None
    inside = [path for path in taken if within(path, PLACE) or within(PLACE, path)]
    if not inside:
        return VolumeMount(name=name, path=PLACE)
    if any(within(path, _HUB) or within(_HUB, path) for path in inside):
        findings.noted(
            _FIELD, "leaves the model cache out", f"{inside[0]} takes the place of the Volume {name}"
        )
        return None
    return VolumeMount(name=name, path=_HUB, sub_path="hub")
