"""What is wrong with text that is not YAML, in words that help."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import yaml

    from trebuchet.files.problems import Problems


DEEPEST = 40
"""How many levels values may be nested: job files have five or so."""

_TOO_DEEP = f"Values are nested deeper than {DEEPEST} levels."


def add_depth_fault(line: int, column: int, problems: Problems) -> None:
    """Add the fault of values within values without end."""
    problems.add(_TOO_DEEP, None, line, column)


def add_syntax_fault(error: yaml.YAMLError, text: str, problems: Problems) -> None:
    """Add the fault that stopped the parser."""
    fault: Any = error
    mark = getattr(fault, "problem_mark", None) or getattr(fault, "context_mark", None)
    if mark is None:
        line, column = _place(text, getattr(fault, "position", 0) or 0)
        problems.add("A character stands here that no text holds.", "remove it", line, column)
        return
    if "nesting depth" in str(fault.problem):  # libyaml reads ahead, to a limit of its own
        add_depth_fault(mark.line + 1, mark.column + 1, problems)
        return
    message, hint = _words(str(fault.problem or "cannot be read"), _line(text, mark.line), mark.column)
    problems.add(f"This is not YAML: {message}.", hint, mark.line + 1, mark.column + 1)


def _words(problem: str, line: str, column: int) -> tuple[str, str | None]:
    if line[column : column + 1] == "\t" or "\t" in line[: len(line) - len(line.lstrip())]:
        return "a tab where only spaces may indent", "replace tabs by spaces"
    if line[column : column + 1] in {"@", "`", "%"}:
        return f"a value cannot begin with {line[column]}", "put it in quotes"
    if "mapping values are not allowed" in problem:
        return (
            "a colon where none is expected",
            "put text that holds ': ' in quotes, or check the indentation",
        )
    return problem, None


def _line(text: str, number: int) -> str:
    lines = text.splitlines()
    return lines[number] if number < len(lines) else ""


def _place(text: str, position: int) -> tuple[int, int]:
    before = text[:position]
    return before.count("\n") + 1, position - (before.rfind("\n") + 1) + 1
