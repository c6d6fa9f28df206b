"""`trebuchet completion`: what a shell needs to complete command lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from trebuchet.cli.console import show
from trebuchet.cli.verb import Verb, session_options

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


@click.command(
    cls=Verb,
    examples=[
        ("completion bash >> ~/.bashrc", "for good, in bash"),
        ("completion fish > ~/.config/fish/completions/trebuchet.fish", "in fish"),
    ],
)
@session_options
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that completes commands in a shell.

    It completes options, jobs and clusters too.
    """
    from click.shell_completion import get_completion_class  # noqa: PLC0415 - for this verb alone

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"There is no completion for {shell}.", ctx)
    show(kind(ctx.find_root().command, {}, "trebuchet", "_TREBUCHET_COMPLETE").source())


def known_jobs(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Jobs that the ledger knows and whose name begins like this; asks no control plane."""
    from click.shell_completion import CompletionItem  # noqa: PLC0415 - while completing alone

    from trebuchet.cli.session import Session  # noqa: PLC0415 - while completing alone

    jobs = Session().launcher.jobs()
    return [
        CompletionItem(job.key, help=f"{job.name} {job.state.value}")
        for job in jobs
        if job.key.startswith(incomplete)
    ]


def known_clusters(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Clusters that the ledger knows and whose name begins like this; asks no control plane."""
    from click.shell_completion import CompletionItem  # noqa: PLC0415 - while completing alone

    from trebuchet.cli.session import Session  # noqa: PLC0415 - while completing alone

    clusters = {job.cluster for job in Session().launcher.jobs() if job.cluster != job.id}
    return [CompletionItem(name) for name in sorted(clusters) if name.startswith(incomplete)]
