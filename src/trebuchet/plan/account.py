"""The account: every leaf of the input is translated, noted or refused, or it is a fault of ours."""

from __future__ import annotations

from dataclasses import MISSING, fields, is_dataclass
from typing import TYPE_CHECKING, Any, cast

from trebuchet.errors import PlanError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from trebuchet.job import JobConfig
    from trebuchet.plan.findings import Findings
    from trebuchet.plan.model import Treatment

_NOT_INPUT = frozenset({"dialect", "source", "positions", "extras"})


class UnaccountedError(AssertionError):
    """No part of the plan has said what becomes of a field: a fault in Trebuchet, not in the job."""


def leaves(job: JobConfig) -> set[str]:
    """The dotted keys of all that was asked for, with or without a file behind it."""
    return {*job.positions, *_flat("", job), *_flat("", job.extras)}


def _flat(prefix: str, value: Any) -> Iterator[str]:
    if is_dataclass(value):
        for field in fields(value):
            inner = getattr(value, field.name)
            if field.name not in _NOT_INPUT and inner != _default(field):
                yield from _flat(_join(prefix, field.name), inner)
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


def close_account(job: JobConfig, findings: Findings) -> dict[str, Treatment]:
    """Hold what was found against the input.

    Returns:
        What became of each leaf, under the name it has in the file.

    Raises:
        PlanError: Something is refused; with every refusal and its place.
        UnaccountedError: Nothing was said about a leaf.
    """
    if findings.refusals:
        raise PlanError(
            [_problem(job, refusal.field, refusal.message, refusal.hint) for refusal in findings.refusals]
        )
    account: dict[str, Treatment] = {}
    for leaf in sorted(leaves(job)):
        treatment = _nearest(leaf, findings.settled)
        if treatment is None:
            raise UnaccountedError(f"the plan says nothing about {leaf}")
        position = job.positions.get(leaf)
        account[position.key if position else leaf] = treatment
    return account


def _nearest(leaf: str, settled: Mapping[str, Treatment]) -> Treatment | None:
    """What was said about a leaf, or else about the closest thing above it."""
    name = leaf
    while name not in settled:
        name, dot, _ = name.rpartition(".")
        if not dot:
            return None
    return settled[name]


def _problem(job: JobConfig, field: str, message: str, hint: str | None) -> Problem:
    position = job.positions.get(field) or next(
        (job.positions[leaf] for leaf in job.positions if leaf.startswith(f"{field}.")), None
    )
    if position is None or position.line is None:
        return Problem(message, hint)
    return Problem(message, hint, str(job.source), position.line, position.column)
