"""Environment variables from a command line, and from files of `NAME=VALUE` lines. Values are never shown."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from trebuchet.errors import UsageError
from trebuchet.files.problems import Problems
from trebuchet.files.source import read_plain_text

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=(.*)", re.DOTALL)
_LINE_END = re.compile(r"\r\n?|\n")
"""Fewer than `splitlines` knows, since a value may hold the others."""
_BLANK = " \t"
_COMMENT = r"(?:[ \t]+#.*)?"
_SINGLE = re.compile(rf"'(.*?)'{_COMMENT}", re.DOTALL)
_DOUBLE = re.compile(rf'"((?:\\.|[^\\])*?)"{_COMMENT}|"(.*)"', re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"', "$": "$"}


def variable(given: str, environment: Mapping[str, str]) -> tuple[str, str]:
    """Name and value of `NAME=VALUE`, or of `NAME` with the value that the caller's environment has.

    Raises:
        UsageError: The name is none, or the environment has no such variable.
    """
    name, equals, value = given.partition("=")
    if not _NAME.fullmatch(name):
        raise UsageError(
            "An environment variable's name consists of letters, digits and _, and begins with no digit.",
            hint="write NAME=VALUE; what was given is not shown here, since it may be a secret",
        )
    if equals:
        return name, value
    if name not in environment:
        raise UsageError(
            f"{name} was given without a value, and your environment has none.",
            hint=f"write {name}=VALUE, or set it before: export {name}=…",
        )
    return name, environment[name]


def read_env_file(path: str | Path) -> dict[str, str]:
    """The variables of a file of `NAME=VALUE` lines, with `#` comments, an optional `export` and quotes.

    Within double quotes a backslash escapes; single quotes keep all as it is. A `$` is no reference. A `#`
    begins a comment after a blank and outside quotes.

    Raises:
        JobFileError: It cannot be read, or a line is none of these; with every such line.
    """
    problems = Problems(str(path))
    found: dict[str, str] = {}
    for number, line in enumerate(_LINE_END.split(read_plain_text(Path(path), problems)), 1):
        text = line.strip(_BLANK)
        if not text or text.startswith("#"):
            continue
        match = _LINE.fullmatch(text)
        if match is None:
            problems.add("This is not NAME=VALUE.", None, number, 1)
        else:
            found[match[1]] = _unquoted(match[2])
    problems.settle()
    return found


def _unquoted(written: str) -> str:
    value = written.strip(_BLANK)
    if match := _SINGLE.fullmatch(value):
        return match[1]
    if match := _DOUBLE.fullmatch(value):
        inner = match[2] if match[1] is None else match[1]
        return re.sub(r"\\(.)", lambda escaped: _ESCAPES.get(escaped[1], escaped[0]), inner)
    return re.split(r"[ \t]+#", written, maxsplit=1)[0].strip(_BLANK)
