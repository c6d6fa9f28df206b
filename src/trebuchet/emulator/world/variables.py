"""Variables in a Dockerfile: how they are given, and what becomes of a `$` in front of one."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from trebuchet.emulator.world.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Mapping

_LITERAL = "\0"
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?:(:?[-+])([^}]*))?\})")


def assignments(text: str, known: Mapping[str, str]) -> dict[str, str | None]:
    """The variables that are given a value: `NAME=value …`, filled in; None for a name alone.

    Raises:
        InvalidError: A quotation has no end.
    """
    found: dict[str, str | None] = {}
    for word in split(text, known):
        name, given, value = word.partition("=")
        found[name] = value if given else None
    return found


def split(text: str, known: Mapping[str, str]) -> list[str]:
    """Words as a shell tells them apart, with the values of variables in them.

    Raises:
        InvalidError: A quotation has no end.
    """
    try:
        words = shlex.split(_marked(text))
    except ValueError as error:
        raise InvalidError(f"`{text}` is not understood: {error}.") from error
    return [fill_in(word, known) for word in words]


def fill_in(text: str, known: Mapping[str, str]) -> str:
    """A text with the values of `$NAME`, `${NAME}`, `${NAME:-otherwise}` and `${NAME:+then}` in it."""

    def value(found: re.Match[str]) -> str:
        plain, braced, sign, other = found.groups()
        has = known.get(plain or braced)
        counts = has is not None if sign in {"-", "+"} else bool(has)
        if sign and sign[-1] == "-":
            return has or "" if counts else other
        if sign:
            return other if counts else ""
        return has or ""

    return _VARIABLE.sub(value, text).replace(_LITERAL, "$")


def _marked(text: str) -> str:
    """The same text, a `$` that is quoted or escaped marked so that it stays one."""
    marked: list[str] = []
    quote = ""
    escaped = False
    for letter in text:
        if letter == "$" and (escaped or quote == "'"):
            if escaped:
                marked.pop()
            marked.append(_LITERAL)
        else:
            marked.append(letter)
        if not escaped and letter in {"'", '"'} and quote in {"", letter}:
            quote = "" if quote else letter
        escaped = letter == "\\" and not escaped and quote != "'"
    return "".join(marked)
