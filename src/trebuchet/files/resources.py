"""The `resources` of both dialects, brought to the names of `JobResources`."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, cast

from trebuchet.job import JobResources

if TYPE_CHECKING:
    from trebuchet.files.problems import Problems
    from trebuchet.files.tree import Entry

_OURS = frozenset(each.name for each in fields(JobResources))
_RENAMED = {"gpus": "accelerators", "ordered": "any_of"}
_INFRA = ("cloud", "region", "zone")


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What a file's `resources` say.

    Attributes:
        resources: The fields that have a place.
        extras: The fields that have none.
        written_for: The cloud that the file names where the command line names another.
        renamed: Dotted key in the file to the dotted keys in `JobConfig`, where they differ.
    """

    resources: JobResources
    extras: dict[str, Any] = field(default_factory=dict[str, Any])
    written_for: str | None = None
    renamed: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])


def resources(values: dict[str, Any], entry: Entry | None, problems: Problems) -> Resources:
    """Bring checked values to the names that `JobConfig` has for them."""
    if entry is None or not values:
        return Resources(resources=JobResources())
    reader = _Reader(problems)
    found = reader.canonical("resources", values, entry)
    alternatives = cast("list[Any]", found.pop("any_of", None) or [])
    kept = [
        reader.canonical(f"resources.{name}.{index}", one or {}, inner, f"resources.any_of.{index}")
        for name, index, one, inner in _alternatives(values, entry, alternatives)
    ]
    given = {name: value for name, value in found.items() if value is not None}
    return Resources(
        resources=JobResources(
            **{name: value for name, value in given.items() if name in _OURS}, any_of=tuple(kept)
        ),
        extras={name: value for name, value in given.items() if name not in _OURS},
        written_for=reader.written_for,
        renamed=reader.renamed,
    )


def _alternatives(
    values: dict[str, Any], entry: Entry, found: list[Any]
) -> list[tuple[str, int, Any, Entry]]:
    name = "any_of" if values.get("any_of") else "ordered"
    inner = entry.mapping
    return [(name, index, one, inner[name].members[index]) for index, one in enumerate(found)]


class _Reader:
    def __init__(self, problems: Problems) -> None:
        self.renamed: dict[str, tuple[str, ...]] = {}
        self.written_for: str | None = None
        self._problems = problems

    def canonical(
        self, written: str, values: dict[str, Any], entry: Entry, ours: str | None = None
    ) -> dict[str, Any]:
        """One level of resources under our names; a null stays, since it takes back what stands above."""
        ours = ours or written
        if ours != written:
            self.renamed[written] = (ours,)
        found: dict[str, Any] = {}
        for name, value in values.items():
            if name == "infra":
                self._infra(entry, value, values, found, written=written, ours=ours)
                continue
            target = (
                "image_id_map" if name == "image_id" and isinstance(value, dict) else _RENAMED.get(name, name)
            )
            if target != name:
                self._rename(f"{written}.{name}", f"{ours}.{target}")
                if value is not None and values.get(target) is not None:
                    self._problems.at(
                        entry.value[name],
                        f"{written}.{name} and {written}.{target} say the same.",
                        "leave one out",
                    )
                    continue
            if value is not None or target not in found:
                found[target] = value
        return found

    def _rename(self, written: str, *ours: str) -> None:
        self.renamed[written] = ours

    def _infra(
        self,
        entry: Entry,
        value: str | None,
        values: dict[str, Any],
        found: dict[str, Any],
        *,
        written: str,
        ours: str,
    ) -> None:
        """`CLOUD/REGION/ZONE`; for Kubernetes what follows the cloud is a context, which may hold slashes."""
        key = f"{written}.infra"
        if value is None:
            self._rename(key, f"{ours}.cloud")
            found.setdefault("cloud", None)
            return
        parts = [
            part.strip() for part in value.split("/", 1 if value.startswith(("k8s", "kubernetes")) else 2)
        ]
        named = {name: part for name, part in zip(_INFRA, parts, strict=False) if part and part != "*"}
        if parts[0] == "*":
            named["cloud"] = "*"
        self._rename(key, *(f"{ours}.{name}" for name in named or ("cloud",)))
        inner = entry.mapping
        for name, part in named.items():
            if values.get(name) is None:
                found[name] = part
            elif inner[name].line is not None:
                self._problems.at(
                    inner[name], f"{written}.{name} stands beside {key}, which says it too.", "leave one out"
                )
            elif name == "cloud":
                self.written_for = part
