"""Dotted overrides from a command line: `--resources.accelerators H100:2`, `--envs.X=y`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trebuchet.errors import UsageError
from trebuchet.files.problems import Problems, shown
from trebuchet.files.tree import Entry, documents

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def apply_overrides(document: Entry, overrides: Sequence[str], problems: Problems) -> None:
    """Put the values that a command line gives into a document's tree."""
    for key, text in _pairs(overrides):
        _put(document, key, _value(key, text), problems)


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


def _value(key: str, text: str) -> Entry:
    """The value as YAML would read it; text that YAML cannot read is taken as it is."""
    if "\n" in text:
        return Entry(text)
    problems = Problems(f"--{key}")
    found = documents(text, problems)
    problems.settle()
    return _without_places(found[0]) if found else Entry(None)


def _without_places(entry: Entry) -> Entry:
    if isinstance(entry.value, dict):
        return Entry({name: _without_places(inner) for name, inner in entry.value.items()})  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(entry.value, list):
        return Entry([_without_places(inner) for inner in entry.value])  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return Entry(entry.value)


def _put(document: Entry, key: str, value: Entry, problems: Problems) -> None:
    *above, last = key.split(".")
    target = document
    for name in above:
        if not isinstance(target.value, dict):
            break
        inner = target.value.get(name)
        if inner is None or inner.value is None:
            inner = target.value[name] = Entry({})
        target = inner
    if not isinstance(target.value, dict):
        problems.add(f"--{key} goes into something that is no mapping.")
        return
    target.value[last] = value
