"""Accelerators in all the forms of job files, as the GPUs that a cloud has, in order of preference."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from trebuchet.plan import gpu_names
from trebuchet.plan.alternatives import refuse_too_many

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from trebuchet.plan.alternatives import Alternative
    from trebuchet.plan.findings import Findings
    from trebuchet.plan.machine import Machine

_MAKER = re.compile(r"^nvidia:(?=\d+(?:\.\d+)?GB)", re.IGNORECASE)
_MEMORY = re.compile(r"(\d+(?:\.\d+)?)GB(\+?)", re.IGNORECASE)
_OTHER_CHIPS = ("TPU", "INFERENTIA", "TRAINIUM", "NEURON", "TT-", "HL-")


@dataclass(frozen=True, slots=True)
class Gpu:
    """GPUs of one kind, as the chosen cloud names them."""

    name: str
    count: int

    def __str__(self) -> str:
        return f"{self.name}:{self.count}"


@dataclass(frozen=True, slots=True)
class _Wish:
    field: str
    name: str
    count: float


@dataclass(frozen=True, slots=True)
class _Unfit:
    why: str
    hint: str | None = None


def gpus(wanted: Alternative, cloud: str, machine: Machine | None, findings: Findings) -> list[Gpu | None]:
    """The GPUs to be tried in turn; [None] where none is wanted, [] where none of those wanted can be had."""
    field = wanted.place("accelerators")
    value = wanted.get("accelerators")
    findings.translated(field)
    if value is None or value in ({}, [], ""):
        return [None]
    if not isinstance(value, str) and refuse_too_many(field, len(value), findings):
        return []
    found: list[Gpu | None] = []
    unfit: list[tuple[_Wish, _Unfit]] = []
    for wish in _with_memory(_wishes(field, value), findings):
        answer = _on_modal(wish) if cloud == "modal" else _on_machine(wish, machine, findings)
        if isinstance(answer, _Unfit):
            unfit.append((wish, answer))
        elif answer in found:
            findings.noted(
                wish.field, f"{wish.name} is the same as another alternative", f"both are {answer}"
            )
        else:
            found.append(answer)
            if cloud == "modal" and answer.name == "H100":
                findings.noted(wish.field, "may be served by H200", "Modal does so at times; H100! is exact")
    for wish, answer in unfit:
        if found:
            findings.noted(wish.field, f"{wish.name}:{wish.count:g} is left out", answer.why)
        else:
            findings.refused(wish.field, f"{answer.why}", answer.hint)
    return found


def names_other_chips(wanted: Alternative) -> bool:
    """Whether any of the accelerators is no GPU at all, but a TPU or its like."""
    wishes = _wishes("", wanted.get("accelerators") or ())
    return any(wish.name.upper().startswith(_OTHER_CHIPS) for wish in wishes)


def _wishes(field: str, value: Any) -> Iterator[_Wish]:
    if isinstance(value, str):
        yield _wish(field, value, None)
    elif isinstance(value, dict):
        for name, count in cast("dict[str, Any]", value).items():
            yield _wish(f"{field}.{name}", name, count)
    else:
        for name in value:
            yield _wish(field, str(name), None)


def _with_memory(wishes: Iterable[_Wish], findings: Findings) -> Iterator[_Wish]:
    """The wishes, those for a size of memory (`80GB`, `nvidia:80GB+`) as the GPUs that have it."""
    for wish in wishes:
        match = _MEMORY.fullmatch(wish.name)
        if match is None:
            yield wish
            continue
        names = gpu_names.by_memory(float(match[1]), or_more=bool(match[2]))
        if names:
            findings.noted(
                wish.field, f"{wish.name} is taken as {', '.join(names)}", "these have as much memory each"
            )
        # With none, the size itself is what there is no GPU by the name of.
        yield from (replace(wish, name=name) for name in names or [wish.name])


def _wish(field: str, text: str, count: Any) -> _Wish:
    name, colon, after = _MAKER.sub("", text.strip()).partition(":")
    if count is None and not colon:
        return _Wish(field, name.strip(), 1)
    try:
        number = float(after if count is None else count)
    except (TypeError, ValueError):
        number = math.nan
    return _Wish(field, name.strip(), number)


def _miscounted(wish: _Wish) -> _Unfit | None:
    if math.isnan(wish.count) or math.isinf(wish.count):
        return _Unfit(f"the number of {wish.name} is not a number", "write it like H100:2")
    if wish.count <= 0:
        return _Unfit(f"{wish.count:g} {wish.name} is no number of GPUs", "leave accelerators out for none")
    if wish.count != int(wish.count):
        return _Unfit(
            f"{wish.count:g} of a GPU cannot be had, only whole ones",
            f"ask for {wish.name}:{math.ceil(wish.count)}",
        )
    return None


def _on_modal(wish: _Wish) -> Gpu | _Unfit:
    if wrong := _miscounted(wish):
        return wrong
    name = gpu_names.modal_name(wish.name)
    if name is None:
        return _not_on_modal(wish)
    if wish.count > gpu_names.most(name):
        return _Unfit(
            f"{wish.count:g} {name} are more than the {gpu_names.most(name)} that one sandbox can have",
            f"ask for {name}:{gpu_names.most(name)}",
        )
    return Gpu(name, int(wish.count))


def _not_on_modal(wish: _Wish) -> _Unfit:
    if wish.name.upper().startswith(_OTHER_CHIPS):
        return _Unfit(f"{wish.name} is no GPU that Modal has", f"Modal has {', '.join(gpu_names.MODAL_GPUS)}")
    near = gpu_names.nearest(wish.name)
    hint = f"the nearest there is {near}: --gpus {near}:{wish.count:g}" if near else None
    return _Unfit(f"Modal has no {wish.name}", hint or f"Modal has {', '.join(gpu_names.MODAL_GPUS)}")


def _on_machine(wish: _Wish, machine: Machine | None, findings: Findings) -> Gpu | _Unfit:
    if wrong := _miscounted(wish):
        return wrong
    count = int(wish.count)
    known = gpu_names.same_name(wish.name)
    if machine is None:
        return Gpu(known, count)
    for name, there in machine.gpus.items():
        if gpu_names.same_name(name).rstrip("!+") == known.rstrip("!+"):
            return Gpu(name, count) if count <= there else _too_few(wish, name, there)
    if machine.any_gpu:
        for name, there in machine.gpus.items():
            if count <= there:
                findings.noted(
                    wish.field, f"{wish.name} becomes {name}", "any GPU of this machine was allowed"
                )
                return Gpu(name, count)
    return _not_here(wish, machine)


def _too_few(wish: _Wish, name: str, there: int) -> _Unfit:
    return _Unfit(
        f"this machine has {there} {name}, and {wish.count:g} are wanted",
        _elsewhere(wish) or f"ask for {name}:{there}",
    )


def _not_here(wish: _Wish, machine: Machine) -> _Unfit:
    has = ", ".join(f"{count} {name}" for name, count in machine.gpus.items()) or "no GPU"
    return _Unfit(f"this machine has {has}, and {wish.name}:{wish.count:g} is wanted", _elsewhere(wish))


def _elsewhere(wish: _Wish) -> str | None:
    there = not isinstance(_on_modal(wish), _Unfit)
    return "Modal has it: --cloud modal" if there else None
