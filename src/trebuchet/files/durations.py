"""Lengths of time as job files write them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from trebuchet.errors import shown

if TYPE_CHECKING:
    from trebuchet.files.problems import Problems
    from trebuchet.files.shapes import Schema
    from trebuchet.files.tree import Entry

_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd]?)")
_WHOLE = re.compile(r"(?:\d+(?:\.\d+)?\s*[smhd]?\s*)+")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}


class _Duration:
    """Seconds, or text like `90m`, `24h`, `1h30m`; read as whole seconds."""

    said = "a length of time, like 3600, 90m or 24h"

    def fits(self, value: Any) -> bool:
        return isinstance(value, (str, int, float)) and not isinstance(value, bool)

    def read(self, entry: Entry, key: str, problems: Problems) -> int | None:
        seconds = parse_duration(entry.value)
        if seconds is None:
            problems.at(entry, f"{key}: {shown(entry.value)} is no length of time.", "write 3600, 90m or 24h")
        return seconds

    def schema(self) -> Schema:
        return {"type": ["string", "number"]}


DURATION = _Duration()


def parse_duration(value: str | float) -> int | None:
    """Whole seconds, at least 1; None where the value is no length of time."""
    text = str(value).strip().lower()
    if len(text) > 40 or not _WHOLE.fullmatch(text):
        return None
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
    return round(seconds) if seconds >= 1 else None
