"""What a person sees of an error, and the exit code a program sees."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from trebuchet.cli.console import tell
from trebuchet.cli.leaving import INTERRUPTED, Detached
from trebuchet.errors import JobFileError, PlanError, TrebuchetError, UsageError

if TYPE_CHECKING:
    from trebuchet.errors import Problem


def exit_code_of(error: BaseException) -> int:
    """The exit code for an error that ended a command."""
    match error:
        case TrebuchetError():
            return error.exit_code
        case click.ClickException():
            return UsageError.exit_code
        case click.Abort() | KeyboardInterrupt():
            return INTERRUPTED
        case Detached():
            return error.exit_code
        case SystemExit(code=int(code)):
            return code
        case _:
            return TrebuchetError.exit_code


def report(error: BaseException, *, debug: bool) -> None:
    """Say on stderr what went wrong, in a sentence or two and a hint."""
    if isinstance(error, (SystemExit, Detached)):
        return
    if debug:
        import traceback  # noqa: PLC0415 - most commands fail without one

        traceback.print_exception(error)
    for line in _lines(error):
        tell(line)


def _lines(error: BaseException) -> list[str]:
    match error:
        case JobFileError() | PlanError():
            return _problem_lines(error.problems, str(error), error.hint)
        case TrebuchetError():
            return _told(str(error), error.hint)
        case click.ClickException():
            return _told(error.format_message(), _usage_hint(error))
        case click.Abort() | KeyboardInterrupt():
            return [click.style("interrupted", fg="yellow")]
        case OSError() if error.errno is not None:
            return _told(_system_message(error), None)
        case _:
            kind, text = type(error).__name__, str(error)
            return _told(
                f"Trebuchet failed in a way it should not: {kind}{': ' + text if text else ''}",
                "this is a bug; run the command again with --debug and report what it shows",
            )


def _told(message: str, hint: str | None) -> list[str]:
    lines = [click.style("error: ", fg="red", bold=True) + message]
    if hint:
        lines.append(click.style("hint: ", fg="cyan") + hint)
    return lines


def _problem_lines(problems: tuple[Problem, ...], message: str, hint: str | None) -> list[str]:
    if not problems:
        return _told(message, hint)
    lines = list[str]()
    for problem in problems:
        place = ":".join(
            str(part) for part in (problem.file, problem.line, problem.column) if part is not None
        )
        lines += _told(f"{place}: {problem.message}" if place else problem.message, problem.hint)
    if hint:
        lines += _told("", hint)[1:]
    return lines


def _usage_hint(error: click.ClickException) -> str | None:
    if not isinstance(error, click.UsageError) or error.ctx is None:
        return None
    return f"{error.ctx.command_path} --help"


def _system_message(error: OSError) -> str:
    reason = os.strerror(error.errno or 0)
    return f"{error.filename}: {reason}" if error.filename else reason
