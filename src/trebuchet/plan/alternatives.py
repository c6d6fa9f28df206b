"""The alternatives that `any_of` and `ordered` offer, each laid over the resources beside them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from trebuchet.job import JobResources

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trebuchet.job import JobConfig
    from trebuchet.plan.findings import Findings


MOST = 64
"""Alternatives of a job."""


@dataclass(frozen=True, slots=True)
class Alternative:
    """One way to fill `resources`.

    Attributes:
        values: Field to value; only what was given, and not null.
        places: Field to the dotted key it was given under.
    """

    values: Mapping[str, Any]
    places: Mapping[str, str]

    def get(self, field: str) -> Any:
        return self.values.get(field)

    def place(self, field: str) -> str:
        """The dotted key of a field, given or not."""
        return self.places.get(field, f"resources.{field}")


def alternatives(job: JobConfig, findings: Findings) -> list[Alternative]:
    """In order of preference; at least one."""
    if refuse_too_many("resources.any_of", len(job.resources.any_of), findings):
        return []
    base = _given(job.resources)
    base.update(job.extras.get("resources") or {})
    places = {field: f"resources.{field}" for field in base}
    if not job.resources.any_of:
        return [_alternative(base, places)]
    return [
        _alternative(
            {**base, **entry}, {**places, **{field: f"resources.any_of.{index}.{field}" for field in entry}}
        )
        for index, entry in enumerate(job.resources.any_of)
    ]


def refuse_too_many(field: str, count: int, findings: Findings) -> bool:
    """Refuse more alternatives than anybody would wait for, each of which may take minutes to try."""
    if count > MOST:
        findings.refused(field, f"{count:,} alternatives are more than the {MOST} that are tried in turn")
    return count > MOST


def overridden(job: JobConfig) -> dict[str, bool]:
    """Dotted keys that every alternative sets anew, and whether a value stands beside them too."""
    entries = job.resources.any_of
    common = set[str]().union(*entries).intersection(*(set(entry) for entry in entries))
    base = _given(job.resources)
    base.update(job.extras.get("resources") or {})
    return {f"resources.{name}": base.get(name) is not None for name in sorted(common)}


def _given(resources: JobResources) -> dict[str, Any]:
    return {
        field.name: getattr(resources, field.name) for field in fields(JobResources) if field.name != "any_of"
    }


def _alternative(values: dict[str, Any], places: dict[str, str]) -> Alternative:
    # A null in an entry takes the field back from the resources beside it.
    return Alternative({field: value for field, value in values.items() if value is not None}, places)
