"""Dotted overrides from a command line: `--resources.accelerators H100:2`, `--envs.X=y`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from trebuchet.errors import JobFileError, UsageError, shown
from trebuchet.files.problems import Problems
from trebuchet.files.tree import Entry, documents, is_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_NOTHING = Entry(None)
_SAME = {"accelerators": ("gpus",), "gpus": ("accelerators",), "infra": ("cloud", "region", "zone")}
"""Fields that say the same as others."""


def apply_overrides(document: Entry, overrides: Sequence[str], problems: Problems) -> None:
    """Put the values that a command line gives into a document's tree."""
    for key, text in _pairs(overrides):
        if is_text(key) and is_text(text):
            _put(document, key, _value(text), problems)
        else:
            problems.add("An override on the command line is not UTF-8.")


def _pairs(overrides: Sequence[str]) -> Iterator[tuple[str, str]]:
    words = iter(overrides)
    for word in words:
        if not word.startswith("--") or len(word) == 2:
            raise UsageError(
                f"{shown(word)} is no override.", hint="write --resources.cpus 8 or --envs.SEED=7"
            )
        key, equals, value = word[2:].partition("=")
        if not equals:
            following = next(words, None)
            if following is None:
                raise UsageError(f"--{key} has no value.", hint=f"write --{key} VALUE")
            value = following
        yield key, value


def _value(text: str) -> Entry:
    """The value as YAML would read it; text that YAML cannot read is taken as it is."""
    try:
        problems = Problems("")
        found = documents(text, problems)
        problems.settle()
    except JobFileError:
        return Entry(text, typed=text)
    value = _without_places(found[0]) if len(found) == 1 else Entry(text if found else None)
    return replace(value, typed=text)


def _without_places(entry: Entry) -> Entry:
    if entry.is_mapping:
        return Entry({name: _without_places(inner) for name, inner in entry.mapping.items()})
    if entry.is_list:
        return Entry([_without_places(inner) for inner in entry.members])
    return Entry(entry.value)


def _put(document: Entry, key: str, value: Entry, problems: Problems) -> None:
    *above, last = key.split(".")
    target = document
    for name in above:
        if not target.is_mapping:
            break
        inner = target.mapping.get(name, _NOTHING)
        # An alias may share the value with another place: change a copy.
        inside = dict(inner.mapping) if inner.is_mapping or inner.value is None else inner.value
        deeper = replace(inner, value=inside)
        target.mapping[name] = deeper
        target = deeper
    if not target.is_mapping:
        problems.add(f"--{key} goes into something that is no mapping.")
        return
    target.mapping[last] = value
    if above == ["resources"]:
        _forget_alternatives(target.mapping, last)


def _forget_alternatives(resources: dict[str, Entry], field: str) -> None:
    """What the command line says of a field holds for every alternative."""
    same = _SAME.get(field, ())
    for name in same:
        if name in resources and (field != "infra" or resources[name].line is not None):
            del resources[name]
    for name in ("any_of", "ordered"):
        if name in resources and resources[name].is_list:
            kept = [_without(alternative, {field, *same}) for alternative in resources[name].members]
            resources[name] = replace(resources[name], value=kept)


def _without(alternative: Entry, fields: set[str]) -> Entry:
    kept = {name: entry for name, entry in alternative.mapping.items() if name not in fields}
    return replace(alternative, value=kept) if alternative.is_mapping else alternative
