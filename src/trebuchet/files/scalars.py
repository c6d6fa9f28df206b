"""Scalars as YAML 1.1 types them, as the tools at home do: `no` is False, `1:30` is 90."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import yaml

from trebuchet.errors import shown

if TYPE_CHECKING:
    from trebuchet.files.problems import Problems

MERGE = object()
"""What the plain scalar `<<` reads as."""

_YAML = "tag:yaml.org,2002:"
_LOOKS = {"bool": "a truth value", "int": "a number", "float": "a number", "timestamp": "a date"}
_LONGEST_NUMBER = 100
_TEXT = frozenset({f"{_YAML}str", f"{_YAML}value", "!"})


def scalar(loader: Any, event: Any, problems: Problems) -> Any:
    """The value of a scalar: text, a number, a truth value, a date, None, or `MERGE`."""
    plain, _ = event.implicit
    tag = event.tag
    if tag is None or tag == "!":
        if not plain or tag == "!":
            return event.value
        tag = loader.resolve(yaml.ScalarNode, event.value, event.implicit)
    if tag in _TEXT:
        return event.value
    return _typed(loader, tag, event, problems)


def _typed(loader: Any, tag: str, event: Any, problems: Problems) -> Any:
    place = (event.start_mark.line + 1, event.start_mark.column + 1)
    node = yaml.ScalarNode(tag, event.value, event.start_mark, event.end_mark)
    kind = tag.removeprefix(_YAML)
    if kind in {"null", "merge"}:
        return None if kind == "null" else MERGE
    if kind not in _LOOKS:
        problems.add(f"The tag {shown(tag)} has no meaning here.", "take it out", *place)
        return None
    if len(event.value) <= _LONGEST_NUMBER:
        with contextlib.suppress(ValueError, KeyError, AttributeError, OverflowError):
            return getattr(loader, f"construct_yaml_{kind}")(node)
    # The value itself may be a secret, and is not shown.
    problems.add(f"This looks like {_LOOKS[kind]}, and is none.", "put it in quotes", *place)
    return None
