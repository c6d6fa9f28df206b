"""The shapes that values of a job file can have: each reads an entry, and describes itself as JSON Schema."""

from __future__ import annotations

import datetime
import difflib
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from trebuchet.errors import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trebuchet.files.problems import Problems
    from trebuchet.files.tree import Entry

Schema = dict[str, Any]


class Shape(Protocol):
    """What a field may hold."""

    @property
    def said(self) -> str:
        """What it is called in a message: "a number"."""
        ...

    def fits(self, value: Any) -> bool:
        """Whether a value is of this kind at all; faults inside it do not count."""
        ...

    def read(self, entry: Entry, key: str, problems: Problems) -> Any:
        """The plain value of an entry that fits; what is wrong inside it goes to `problems`."""
        ...

    def schema(self) -> Schema:
        """As JSON Schema."""
        ...


@dataclass(frozen=True, kw_only=True)
class Scalar:
    """A single value of one of some types."""

    said: str
    types: tuple[type, ...]
    described: Schema

    def fits(self, value: Any) -> bool:
        if isinstance(value, bool) and bool not in self.types:
            return False
        return isinstance(value, self.types) and not _is_endless(value)

    def read(self, entry: Entry, key: str, problems: Problems) -> Any:
        del key, problems
        return entry.value

    def schema(self) -> Schema:
        return self.described


TEXT = Scalar(said="text", types=(str,), described={"type": "string"})
NUMBER = Scalar(said="a number", types=(int, float), described={"type": "number"})
INTEGER = Scalar(said="a whole number", types=(int,), described={"type": "integer"})
FLAG = Scalar(said="true or false", types=(bool,), described={"type": "boolean"})
AMOUNT = Scalar(said="a number or text", types=(str, int, float), described={"type": ["string", "number"]})
NULL = Scalar(said="nothing", types=(type(None),), described={"type": "null"})


@dataclass(frozen=True)
class Literal:
    """One value and no other."""

    value: Any

    @property
    def said(self) -> str:
        return {False: "false", True: "true"}.get(self.value, repr(self.value))

    def fits(self, value: Any) -> bool:
        return value is self.value

    def read(self, entry: Entry, key: str, problems: Problems) -> Any:
        del key, problems
        return entry.value

    def schema(self) -> Schema:
        return {"const": self.value}


@dataclass(frozen=True)
class Variable:
    """The value of an environment variable; never shown. Numbers and truth values become Python's words."""

    said: str = "text"

    def fits(self, value: Any) -> bool:
        return value is None or isinstance(value, (str, int, float, bool, datetime.date))

    def read(self, entry: Entry, key: str, problems: Problems) -> str | None:
        del key, problems
        return None if entry.value is None else str(entry.value)

    def schema(self) -> Schema:
        return {"type": ["string", "number", "boolean", "null"]}


@dataclass(frozen=True)
class Listed:
    """A list whose members have one shape."""

    item: Shape

    @property
    def said(self) -> str:
        return "a list"

    def fits(self, value: Any) -> bool:
        return isinstance(value, list)

    def read(self, entry: Entry, key: str, problems: Problems) -> list[Any]:
        return [read(self.item, one, f"{key}.{index}", problems) for index, one in enumerate(entry.members)]

    def schema(self) -> Schema:
        return {"type": "array", "items": _or_null(self.item.schema())}


@dataclass(frozen=True)
class Mapped:
    """A mapping with keys of the user's own."""

    item: Shape

    @property
    def said(self) -> str:
        return "a mapping"

    def fits(self, value: Any) -> bool:
        return isinstance(value, dict)

    def read(self, entry: Entry, key: str, problems: Problems) -> dict[str, Any]:
        return {name: read(self.item, one, f"{key}.{name}", problems) for name, one in entry.mapping.items()}

    def schema(self) -> Schema:
        return {"type": "object", "additionalProperties": _or_null(self.item.schema())}


@dataclass(frozen=True)
class Anything:
    """Whatever stands there; a field that is known, and whose inside is of no concern."""

    said: str = "anything"

    def fits(self, value: Any) -> bool:
        del value
        return True

    def read(self, entry: Entry, key: str, problems: Problems) -> Any:
        del key, problems
        return plain(entry)

    def schema(self) -> Schema:
        return {}


@dataclass(frozen=True)
class Either:
    """The first of some shapes that fits."""

    shapes: tuple[Shape, ...]

    @property
    def said(self) -> str:
        return " or ".join(dict.fromkeys(shape.said for shape in self.shapes))

    def fits(self, value: Any) -> bool:
        return any(shape.fits(value) for shape in self.shapes)

    def read(self, entry: Entry, key: str, problems: Problems) -> Any:
        shape = next(shape for shape in self.shapes if shape.fits(entry.value))
        return shape.read(entry, key, problems)

    def schema(self) -> Schema:
        return {"anyOf": [shape.schema() for shape in self.shapes]}


@dataclass(frozen=True)
class Field:
    """A key that has a meaning: the shape of its value, and what it says, a sentence for editors."""

    shape: Shape
    means: str


_SIMILAR = 0.5
_ALMOST_THE_SAME = 0.8


@dataclass(frozen=True)
class Record:
    """A mapping with known keys."""

    fields: Mapping[str, Field]
    elsewhere: Mapping[str, str] = field(default_factory=dict[str, str])
    """Keys that have no meaning here, and what to write instead."""
    others: Shape | None = None
    """What keys may hold that are unknown, and no mistyped known ones; None where there are to be none."""

    @property
    def said(self) -> str:
        return "a mapping"

    def fits(self, value: Any) -> bool:
        return isinstance(value, dict)

    def read(self, entry: Entry, key: str, problems: Problems) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, one in entry.mapping.items():
            path = f"{key}.{name}" if key else name
            if name in self.fields:
                found[name] = read(self.fields[name].shape, one, path, problems)
            elif self.others is not None and not self._like(name, _ALMOST_THE_SAME):
                found[name] = read(self.others, one, path, problems)
            else:
                problems.at(one, f"{shown(path)} is no known key.", self._way_out(name))
        return found

    def _way_out(self, name: str) -> str | None:
        if name in self.elsewhere:
            return self.elsewhere[name]
        close = self._like(name, _SIMILAR)
        return f"did you mean {close[0]}?" if close else None

    def _like(self, name: str, cutoff: float) -> list[str]:
        """The known key that is most like a name, if any is enough."""
        return difflib.get_close_matches(name[:60], self.fields, n=1, cutoff=cutoff)

    def schema(self) -> Schema:
        properties = {
            name: {**_or_null(known.shape.schema()), "description": known.means}
            for name, known in self.fields.items()
        }
        return {
            "type": "object",
            "properties": properties,
            "additionalProperties": self.others is not None,
        }


def _or_null(schema: Schema) -> Schema:
    """Every value may be null, which says nothing."""
    if not schema or schema.get("type") == ["string", "number", "boolean", "null"]:
        return schema
    if isinstance(schema.get("type"), str) and len(schema) == 1:
        return {"type": [schema["type"], "null"]}
    return {"anyOf": [*schema.get("anyOf", [schema]), {"type": "null"}]}


def read(shape: Shape, entry: Entry, key: str, problems: Problems) -> Any:
    """The value of an entry; null always fits, and says nothing."""
    if entry.value is None:
        return None
    if not shape.fits(entry.value) and entry.typed is not None and shape.fits(entry.typed):
        entry = replace(entry, value=entry.typed)  # `--name 2024` means the text
    if not shape.fits(entry.value):
        problems.at(
            entry,
            f"{shown(key)} must be {shape.said}, and is {_kind(entry.value)}.",
            _quoting(shape, entry.value),
        )
        return None
    return shape.read(entry, key, problems)


def plain(entry: Entry) -> Any:
    """The value of an entry without places."""
    if entry.is_mapping:
        return {name: plain(inner) for name, inner in entry.mapping.items()}
    if entry.is_list:
        return [plain(inner) for inner in entry.members]
    return entry.value


_KINDS = (
    (str, "text"),
    (bool, "true or false"),
    ((int, float), "a number"),
    (list, "a list"),
    (dict, "a mapping"),
)


def _kind(value: object) -> str:
    if _is_endless(value):
        return "infinite or no number at all"
    return next((said for types, said in _KINDS if isinstance(value, types)), "a date")


def _quoting(shape: Shape, value: Any) -> str | None:
    quotable = not isinstance(value, (dict, list)) and not _is_endless(value)
    return "put it in quotes" if shape.fits("") and quotable else None


def _is_endless(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
