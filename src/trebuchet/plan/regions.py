"""Regions and zones."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trebuchet.plan.alternatives import Alternative
    from trebuchet.plan.findings import Findings

_MODAL_REGIONS = frozenset(
    {
        "us", "eu", "ap", "uk", "ca", "me", "sa", "af", "mx", "jp", "au",
        "us-east", "us-central", "us-south", "us-west",
        "eu-west", "eu-north", "eu-south", "eu-central",
        "ap-northeast", "ap-southeast", "ap-south", "ap-melbourne",
    }
)  # fmt: skip


def regions(wanted: Alternative, cloud: str, findings: Findings) -> tuple[str, ...]:
    """Modal's regions for one alternative; empty for any."""
    zone = wanted.place("zone")
    findings.translated(zone)
    if wanted.get("zone") is not None:
        findings.noted(zone, f"{wanted.get('zone')} is not used", "sandboxes cannot choose a zone")
    field, region = wanted.place("region"), wanted.get("region")
    findings.translated(field)
    if region is None:
        return ()
    if cloud != "modal":
        findings.noted(field, f"{region} is not used", "the job runs on this machine")
    elif str(region).lower() in _MODAL_REGIONS:
        findings.noted(
            field, f"only Modal's region {region.lower()} is used", "Modal charges more for a chosen region"
        )
        return (region.lower(),)
    else:
        findings.noted(field, f"{region} is not used", "it is none of Modal's regions; any may run the job")
    return ()
