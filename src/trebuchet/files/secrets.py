"""Secrets of which a file gives the names alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from trebuchet.files.shapes import TEXT, Listed, Mapped, Schema, Variable
from trebuchet.files.tree import Entry

if TYPE_CHECKING:
    from collections.abc import Mapping

_FIELD = "secrets"


@dataclass(frozen=True)
class _Secrets(Mapped):
    """A mapping; in files a list of names stands for one, see `name_secrets`."""

    def schema(self) -> Schema:
        return {"anyOf": [super().schema(), Listed(TEXT).schema()]}


SECRETS = _Secrets(Variable())


def name_secrets(document: Entry) -> None:
    """Let a list of names say what the mapping of each to null says: the values are given at launch."""
    fields: Mapping[str, Entry] = document.mapping
    listed = fields.get(_FIELD)
    if listed is None or not listed.is_list or not all(isinstance(one.value, str) for one in listed.members):
        return
    named = {one.value: Entry(None, one.line, one.column) for one in listed.members}
    document.mapping[_FIELD] = replace(listed, value=named)
