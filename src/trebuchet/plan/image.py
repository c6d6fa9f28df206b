"""The image: one that the user names, untouched; else the default one with what the scripts call for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trebuchet.sandbox import ImageSpec

if TYPE_CHECKING:
    from trebuchet.plan.alternatives import Alternative
    from trebuchet.plan.findings import Findings

_APT = ("zip", "curl", "git")
_PIP = ("awscli",)


def image(wanted: Alternative, findings: Findings) -> ImageSpec:
    """The image of one alternative."""
    field, value = wanted.place("image_id"), wanted.get("image_id")
    findings.translated(field)
    if value is None:
        return ImageSpec(apt_packages=_APT, pip_packages=_PIP)
    return ImageSpec(registry_ref=_reference(field, value, findings))


def _reference(field: str, value: Any, findings: Findings) -> str | None:
    if not isinstance(value, str) or not value.startswith("docker:"):
        findings.refused(
            field, f"{field}: {value!r} is no image of a registry.", "write docker:REPOSITORY:TAG"
        )
        return None
    return value.removeprefix("docker:")
