"""YAML text as a tree of values that know their place, in bounded time and memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from trebuchet.errors import shown
from trebuchet.files.scalars import MERGE, scalar
from trebuchet.files.syntax import DEEPEST, add_depth_fault, add_syntax_fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trebuchet.files.problems import Problems

_MOST_VALUES = 50_000
"""Counted with aliases spelled out, so that a few lines cannot stand for billions of values."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(slots=True)
class Entry:
    """A value and its place.

    Attributes:
        value: What stands there: a dict of text to entries, a list of entries, or a scalar.
        line: Of the key where there is one; counted from 1; None for a value from the command line.
        column: Likewise.
        typed: What was typed on the command line; None for a value from a file.
    """

    value: Any
    line: int | None = None
    column: int | None = None
    typed: str | None = None

    @property
    def is_mapping(self) -> bool:
        return isinstance(self.value, dict)

    @property
    def is_list(self) -> bool:
        return isinstance(self.value, list)

    @property
    def mapping(self) -> dict[str, Entry]:
        """The entries by key; empty where this is no mapping."""
        value: Any = self.value
        return value if self.is_mapping else {}

    @property
    def members(self) -> list[Entry]:
        """The entries of a list; empty where this is none."""
        value: Any = self.value
        return value if self.is_list else []


@dataclass(slots=True)
class _Open:
    """A mapping or sequence whose end has not been read."""

    entry: Entry
    anchor: str | None
    count_before: int
    key: Entry | None = None
    merged: list[Entry] = field(default_factory=list["Entry"])


def documents(text: str, problems: Problems) -> list[Entry]:
    """The documents of a file, each as a tree; empty ones are left out.

    Raises:
        JobFileError: The text is not YAML, or stands for too much.
    """
    if not is_text(text):
        problems.add("It holds a character that is not valid text.")
        raise problems.error()
    try:
        loader = _LOADER(text)
        reader = _Reader(loader, problems)
        return [entry for entry in reader.read() if entry.value is not None]
    except yaml.YAMLError as error:
        add_syntax_fault(error, text, problems)
        raise problems.error() from None


def is_text(text: str) -> bool:
    """Whether it can be written as UTF-8; what came from a command line in other bytes cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class _Reader:
    def __init__(self, loader: Any, problems: Problems) -> None:
        self._loader = loader
        self._problems = problems
        self._anchors: dict[str, tuple[Entry, int]] = {}
        self._open: list[_Open] = []
        self._count = 0

    def read(self) -> Iterator[Entry]:
        while self._loader.check_event():
            event = self._loader.get_event()
            if isinstance(event, yaml.DocumentStartEvent):
                self._anchors.clear()
            elif done := self._take(event):
                yield done

    def _take(self, event: Any) -> Entry | None:
        """Read one event; the tree, where the event ends one."""
        place = (event.start_mark.line + 1, event.start_mark.column + 1)
        if isinstance(event, yaml.ScalarEvent):
            self._charge(1, place)
            entry = Entry(scalar(self._loader, event, self._problems), *place)
            return self._remember_and_put(event.anchor, entry, 1)
        if isinstance(event, yaml.AliasEvent):
            return self._put(self._aliased(event.anchor or "", place))
        if isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            self._begin(event, place)
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            return self._end()
        return None

    def _charge(self, count: int, place: tuple[int, int]) -> None:
        self._count += count
        if self._count > _MOST_VALUES:
            self._problems.add(
                f"The file stands for more than {_MOST_VALUES:,} values.", "aliases (*name) multiply", *place
            )
            raise self._problems.error()

    def _begin(self, event: Any, place: tuple[int, int]) -> None:
        self._charge(1, place)
        if len(self._open) >= DEEPEST:
            add_depth_fault(*place, self._problems)
            raise self._problems.error()
        if event.tag is not None and event.tag not in _USUAL_TAGS:
            self._problems.add(f"The tag {shown(event.tag)} has no meaning here.", "take it out", *place)
        mapping = isinstance(event, yaml.MappingStartEvent)
        self._open.append(_Open(Entry({} if mapping else [], *place), event.anchor, self._count))

    def _end(self) -> Entry | None:
        ended = self._open.pop()
        for source in ended.merged:
            self._merge(ended.entry, source)
        return self._remember_and_put(ended.anchor, ended.entry, self._count - ended.count_before + 1)

    def _remember_and_put(self, anchor: str | None, entry: Entry, count: int) -> Entry | None:
        if anchor is not None:
            self._anchors[anchor] = (entry, count)
        return self._put(entry)

    def _aliased(self, anchor: str, place: tuple[int, int]) -> Entry:
        if anchor not in self._anchors:
            inside = any(frame.anchor == anchor for frame in self._open)
            fault = "stands for a value that contains it" if inside else "stands for nothing above it"
            self._problems.add(f"The alias *{anchor[:60]} {fault}.", None, *place)
            raise self._problems.error()
        entry, count = self._anchors[anchor]
        self._charge(count, place)
        return Entry(entry.value, *place)

    def _put(self, entry: Entry) -> Entry | None:
        if not self._open:
            return entry
        frame = self._open[-1]
        if frame.entry.is_list:
            frame.entry.members.append(entry)
        elif frame.key is None:
            frame.key = entry
        else:
            self._put_pair(frame, frame.key, entry)
            frame.key = None
        return None

    def _put_pair(self, frame: _Open, key: Entry, entry: Entry) -> None:
        name: Any = key.value
        if name is MERGE:
            if frame.merged:
                first = frame.merged[0].line
                self._problems.at(key, "'<<' stands here a second time.", f"the first is in line {first}")
            frame.merged.append(Entry(entry.value, key.line, key.column))
            return
        if not isinstance(name, str):
            what = "a mapping or list" if isinstance(name, (dict, list)) else f"{name!r} to YAML"
            self._problems.at(key, f"A key must be text, and this one is {what}.", "put it in quotes")
            return
        mapping = frame.entry.mapping
        if name in mapping:
            first = mapping[name].line
            self._problems.at(
                key, f"{shown(name)} stands here a second time.", f"the first is in line {first}"
            )
            return
        mapping[name] = Entry(entry.value, key.line, key.column)

    def _merge(self, target: Entry, source: Entry) -> None:
        """Take over what a `<<` names, where the mapping itself says nothing."""
        for one in source.members if source.is_list else [source]:
            if not one.is_mapping:
                self._problems.at(source, "<< merges mappings, and this is none.")
                return
            for name, entry in one.mapping.items():
                target.mapping.setdefault(name, entry)


_USUAL_TAGS = frozenset({"!", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq", "tag:yaml.org,2002:set"})
