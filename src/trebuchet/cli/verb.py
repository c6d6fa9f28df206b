"""What all verbs have in common: examples in their help, shared options, dotted overrides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

from trebuchet.cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Function = TypeVar("Function", bound="Callable[..., Any]")

pass_session = click.make_pass_decorator(Session)

OVERRIDES = "trebuchet.overrides"
"""Where a context keeps the dotted options of its command line (`--resources.cpus 4`), as given."""


class Verb(click.Command):
    """A command whose help ends with examples.

    Attributes:
        examples: Command lines without the program's name, each with what it does.
    """

    def __init__(self, *arguments: Any, examples: Sequence[tuple[str, str]] = (), **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.examples = tuple(examples)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if not self.examples:
            return
        program = ctx.find_root().info_name or "trebuchet"
        width = max(len(line) for line, _ in self.examples)
        with formatter.section("Examples"):
            for line, meaning in self.examples:
                told = f"{program} {line:<{width}}   # {meaning}" if meaning else f"{program} {line}"
                formatter.write(f"{'':>{formatter.current_indent}}{told}\n")


class JobFileVerb(Verb):
    """A verb that reads a job file, whose fields `--dotted.names VALUE` override."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        others, overrides = split_overrides(args, ctx)
        ctx.meta[OVERRIDES] = overrides
        return super().parse_args(ctx, others)


def split_overrides(arguments: Sequence[str], ctx: click.Context) -> tuple[list[str], list[str]]:
    """Part dotted options from the rest: `--envs.X y` and `--envs.X=y` alike.

    Returns:
        The other arguments, and the overrides as name and value in turn.
    """
    others, overrides = list[str](), list[str]()
    remaining = iter(arguments)
    for argument in remaining:
        if argument == "--":
            others += [argument, *remaining]
            break
        name, equals, value = argument.partition("=")
        if not name.startswith("--") or "." not in name:
            others.append(argument)
            continue
        if not equals:
            value = next(remaining, None)
        if value is None:
            raise click.UsageError(f"Option {name!r} requires a value.", ctx)
        overrides += [name, value]
    return others, overrides


def _set_on_session(name: str) -> Callable[[click.Context, click.Parameter, Any], Any]:
    def callback(ctx: click.Context, _parameter: click.Parameter, value: Any) -> Any:
        if value:  # An option left out must not undo the same one given before the verb.
            setattr(ctx.ensure_object(Session), name, value)
        return value

    return callback


def session_options(function: Function) -> Function:
    """Add the options that every verb takes, before or after its name."""
    for option in reversed(
        [
            click.option(
                "--profile",
                metavar="NAME",
                expose_value=False,
                callback=_set_on_session("profile"),
                help="Modal's profile, from ~/.modal.toml.",
            ),
            click.option(
                "--environment",
                metavar="NAME",
                expose_value=False,
                callback=_set_on_session("environment"),
                help="Modal's environment.",
            ),
            click.option(
                "--debug",
                is_flag=True,
                is_eager=True,
                expose_value=False,
                callback=_set_on_session("debug"),
                help="Show tracebacks.",
            ),
        ]
    ):
        function = option(function)
    return function
