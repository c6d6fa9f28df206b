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


def cache_mount(name: str, taken: Iterable[tuple[str, str]], findings: Findings) -> VolumeMount | None:
    """Where the cache goes, given the job's own fields and places; None where they leave it no room.

    A mount hides what lies below it, so a token that arrives in the cache's folder would be gone: then only
    the models below it are cached.
    """
    if not name:
        return None
    inside = [(field, path) for field, path in taken if within(path, PLACE) or within(PLACE, path)]
    if not inside:
        return VolumeMount(name=name, path=PLACE)
    for field, path in inside:
        if within(path, _HUB) or within(_HUB, path):
            findings.noted(field, "takes the place of the model cache", f"the Volume {name} is left out")
            return None
    return VolumeMount(name=name, path=_HUB, sub_path="hub")
