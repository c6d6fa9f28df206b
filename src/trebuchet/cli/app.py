"""The root of the command line: which verbs there are, and what becomes of an error."""

from __future__ import annotations

import os
import sys
import warnings
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, NoReturn

import click

from trebuchet.cli.console import accept_any_text, open_what_is_closed, show, tell_note
from trebuchet.cli.failures import exit_code_of, report
from trebuchet.cli.leaving import for_a_reader
from trebuchet.cli.session import Session
from trebuchet.cli.verb import session_options
from trebuchet.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

PROGRAM = "trebuchet"

VERBS = {
    "up": "up:up",
    "run": "up:run",
    "status": "status:status",
    "logs": "logs:logs",
    "outputs": "outputs:outputs",
    "pull": "outputs:pull",
    "cat": "outputs:cat",
    "rm": "outputs:rm",
    "exec": "inside:exec_in",
    "shell": "inside:shell",
    "cp": "inside:cp",
    "ports": "inside:ports",
    "wait": "wait:wait",
    "cancel": "end:cancel",
    "stop": "end:stop",
    "down": "end:down",
    "plan": "plan:plan",
    "check": "check:check",
    "events": "events:events",
    "orphans": "orphans:orphans",
    "prune": "prune:prune",
    "schema": "schema:schema",
    "which": "which:which",
    "doctor": "doctor:doctor",
    "local": "local:local",
    "completion": "completion:completion",
    "help": "help:help_of",
}
"""Where each verb is defined, in the order in which `--help` lists them."""


class VerbGroup(click.Group):
    """A group that imports a verb's module only when that verb is looked at."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module, _, function = VERBS[cmd_name].partition(":")
        return getattr(import_module(f"trebuchet.cli.{module}"), function)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in VERBS and not name.startswith("-"):
            raise click.UsageError(_unknown_verb(name), ctx)
        return super().resolve_command(ctx, args)


def _unknown_verb(name: str) -> str:
    if name.endswith((".yaml", ".yml")):
        return f"There is no command {name!r}. To launch a job file: {PROGRAM} up {name}"
    from difflib import get_close_matches  # noqa: PLC0415 - needed for typing errors alone

    near = get_close_matches(name, VERBS, n=1)
    return f"There is no command {name!r}." + (f" Did you mean {near[0]!r}?" if near else "")


def _print_version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    show(f"{PROGRAM} {__version__}")
    ctx.exit()


@click.group(
    cls=VerbGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@session_options
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version and exit.",
)
@click.pass_context
def root(ctx: click.Context) -> None:
    """Run job files in sandboxes: on Modal, or on this machine.

    A JOB is named by its key, by its sandbox's id, by the beginning of either, or by its name, which
    means the newest of that name. Start with "trebuchet up examples/digits.yaml"; "trebuchet COMMAND
    --help" shows examples of each command.
    """
    if ctx.invoked_subcommand is None:
        show(ctx.get_help())


def run_command_line(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command and exit with its code.

    Args:
        arguments: Without the program's name; this process's own where None.
    """
    open_what_is_closed()
    accept_any_text()
    warnings.showwarning = _tell_warning
    session = Session()
    try:
        code = root.main(arguments, prog_name=PROGRAM, standalone_mode=False, obj=session)
        with for_a_reader():
            sys.stdout.flush()
    except BaseException as error:  # noqa: BLE001 - each becomes words and an exit code
        report(error, debug=session.debug)
        _leave_at_once(exit_code_of(error))
    sys.exit(code if isinstance(code, int) else 0)


def _tell_warning(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    """A warning for the user in our own form; one for programmers is for their tests."""
    if issubclass(category, UserWarning):
        tell_note(str(message))


def _leave_at_once(code: int) -> NoReturn:
    """End without the interpreter's farewell, in which a call still under way would print tracebacks."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # Whoever read it may be gone.
            stream.flush()
    os._exit(code)
