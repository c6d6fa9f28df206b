"""Writes docs/cli.md from the command line itself. Run it after a change of an option or a help text.

The text is made from the commands' own parts rather than from `--help`, whose wrapping differs between
versions of click.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trebuchet.cli.app import root

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).with_name("cli.md")

HEAD = """\
# The command line

Made from the code by `docs/make_cli_reference.py`; a test fails when it is out of date.

Data goes to stdout, everything else to stderr. What the exit codes mean stands in
[exit-codes.md](exit-codes.md). A JOB is named by its key, by any of its sandboxes' ids, by the beginning of
either, where that is unique, or by its name, which means the newest job of that name. Where a word may mean
several of these, it means the first.
"""


def page() -> str:
    """The whole page."""
    context = click.Context(root, info_name="trebuchet")
    return "\n".join([HEAD, *_section(context, level=2)]) + "\n"


def _section(context: click.Context, *, level: int) -> Iterator[str]:
    command = context.command
    yield f"{'#' * level} {context.command_path}\n"
    yield f"    {context.command_path} {' '.join(command.collect_usage_pieces(context))}\n"
    yield inspect.cleandoc(command.help or "") + "\n"
    yield from _options(context)
    yield from _examples(context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            verb = command.get_command(context, name)
            if verb is not None and not verb.hidden:
                yield from _section(click.Context(verb, info_name=name, parent=context), level=level + 1)


def _options(context: click.Context) -> Iterator[str]:
    rows = [_row(parameter) for parameter in context.command.params if isinstance(parameter, click.Option)]
    if rows:
        yield "| option | |"
        yield "| --- | --- |"
        yield from rows
        yield ""


def _row(option: click.Option) -> str:
    names = ", ".join((*option.opts, *option.secondary_opts))
    value = "" if option.is_flag else _value(option)
    told = f"`{names}{value}`".replace("|", "\\|")
    return f"| {told} | {option.help or ''} |"


def _value(option: click.Option) -> str:
    if option.metavar:
        return f" {option.metavar}"
    choices: Any = getattr(option.type, "choices", None)
    return f" {'|'.join(choices)}" if choices else ""


def _examples(context: click.Context) -> Iterator[str]:
    examples = getattr(context.command, "examples", ())
    if examples:
        yield "```console"
        yield from (
            f"$ trebuchet {line}" + (f"  # {meaning}" if meaning else "") for line, meaning in examples
        )
        yield "```\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
