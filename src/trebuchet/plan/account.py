"""The account: every leaf of the input is translated, noted or refused, or it is a fault of ours."""

from __future__ import annotations

from dataclasses import MISSING, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from trebuchet.errors import PlanError
from trebuchet.plan.written import Written

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from trebuchet.job import JobConfig
    from trebuchet.plan.findings import Findings
    from trebuchet.plan.model import Note, Treatment

_NOT_INPUT = frozenset({"dialect", "dialect_told", "source", "positions", "extras", "written_for", "as_task"})
_BY_GRAVITY: tuple[Treatment, ...] = ("translated", "noted", "refused")


class UnaccountedError(AssertionError):
    """No part of the plan has said what becomes of a field: a fault in Trebuchet, not in the job."""


def leaves(job: JobConfig) -> set[str]:
    """The dotted keys of all that was asked for: those of the file, and what was added to it in Python."""
    written = {name for name, position in job.positions.items() if position.leaf}
    added = {*_flat("", job), *_flat("", job.extras)} - job.positions.keys()
    return {*written, *(leaf for leaf in added if not any(above in written for above in _above(leaf)))}


def _above(key: str) -> Iterator[str]:
    while "." in key:
        key = key.rpartition(".")[0]
        yield key


def _flat(prefix: str, value: Any) -> Iterator[str]:
    if is_dataclass(value):
        for field in fields(value):
            inner = getattr(value, field.name)
            name = _join(prefix, field.name)
            if name not in _NOT_INPUT and inner != _default(field):
                yield from _flat(name, inner)
    elif isinstance(value, dict) and value:
        for name, inner in cast("dict[str, Any]", value).items():
            yield from _flat(_join(prefix, str(name)), inner)
    elif isinstance(value, (list, tuple)) and any(isinstance(one, dict) for one in value):  # pyright: ignore[reportUnknownVariableType]
        for index, inner in enumerate(value):  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
            yield from _flat(_join(prefix, str(index)), inner)
    elif prefix:
        yield prefix


def _default(field: Any) -> Any:
    return field.default if field.default is not MISSING else field.default_factory()


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name


def close_account(job: JobConfig, findings: Findings) -> tuple[dict[str, Treatment], tuple[Note, ...]]:
    """Hold what was found against the input.

    Returns:
        What became of each leaf, and the notes, both under the names that the file has for them.

    Raises:
        PlanError: Something is refused; with every refusal and its place.
        UnaccountedError: Nothing was said about a leaf.
    """
    written = Written(job)
    if findings.refusals:
        raise PlanError([written.problem(refusal) for refusal in findings.refusals])
    account: dict[str, Treatment] = {}
    for leaf in sorted(leaves(job)):
        treatment = _nearest(leaf, findings.settled) or ("translated" if leaf in findings.empty else None)
        if treatment is None:
            raise UnaccountedError(f"the plan says nothing about {leaf}")
        key = written.key(leaf)
        if key not in account or _BY_GRAVITY.index(treatment) > _BY_GRAVITY.index(account[key]):
            account[key] = treatment
    return account, tuple(replace(note, field=written.key(note.field)) for note in findings.notes)


def _nearest(leaf: str, settled: Mapping[str, Treatment]) -> Treatment | None:
    """What was said about a leaf, or else about the closest thing above it."""
    return next((settled[name] for name in (leaf, *_above(leaf)) if name in settled), None)
