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
_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)", re.DOTALL)
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

    Within double quotes a backslash escapes; single quotes keep all as it is. A `$` is no reference.

    Raises:
        JobFileError: It cannot be read, or a line is none of these; with every such line.
    """
    problems = Problems(str(path))
    found: dict[str, str] = {}
    for number, line in enumerate(read_plain_text(Path(path), problems).splitlines(), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        match = _LINE.fullmatch(text)
        if match is None:
            problems.add("This is not NAME=VALUE.", None, number, 1)
        else:
            found[match[1]] = _unquoted(match[2])
    problems.settle()
    return found


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] == "'":
        return value[1:-1]
    if len(value) > 1 and value[0] == value[-1] == '"':
        return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[0]), value[1:-1])
    return re.split(r"\s+#", value, maxsplit=1)[0]
