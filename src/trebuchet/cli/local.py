"""`trebuchet local`: the local engine's daemon, which starts by itself when it is needed."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trebuchet.cli.console import show, tell
from trebuchet.cli.leaving import for_a_reader
from trebuchet.cli.local_gc import gc
from trebuchet.cli.numbers import WholeNumber
from trebuchet.cli.render import json_option, print_json
from trebuchet.cli.verb import Verb, pass_session, session_options

if TYPE_CHECKING:
    from trebuchet.cli.render import Form
    from trebuchet.cli.session import Session
    from trebuchet.engines.local import LocalDaemon


@click.group(invoke_without_command=True)
@session_options
@click.pass_context
def local(ctx: click.Context) -> None:
    """Look after the local engine.

    It runs sandboxes on this machine. Its daemon starts at the first use and leaves when idle;
    jobs go on without it.
    """
    if ctx.invoked_subcommand is None:
        show(ctx.get_help())


@local.command(cls=Verb, examples=[("local status", "is it there, and where")])
@json_option
@session_options
@pass_session
def status(session: Session, form: Form | None) -> None:
    """Say whether the daemon runs, and where its state is."""
    daemon = _daemon(session)
    pid, url = daemon.running() or (None, None)
    if form == "json":
        print_json({"running": pid is not None, "pid": pid, "url": url, "state": str(daemon.state)})
    elif pid is None:
        show(f"not running; it starts by itself when it is needed. State: {daemon.state}")
    else:
        show(f"running as process {pid} at {url}. State: {daemon.state}")


@local.command(cls=Verb, examples=[("local stop", "")])
@session_options
@pass_session
def stop(session: Session) -> None:
    """Stop the daemon. Running jobs go on; the next daemon picks them up."""
    tell("stopped" if _daemon(session).stop() else "it was not running")


@local.command(cls=Verb, examples=[("local logs", "what the daemon said, for bug reports")])
@session_options
@pass_session
def logs(session: Session) -> None:
    """Print the daemon's own log."""
    path = _daemon(session).log_path()
    if not path.exists():
        tell(f"There is no log yet: {path}")
        return
    with path.open(encoding="utf-8", errors="replace") as log, for_a_reader():
        shutil.copyfileobj(log, sys.stdout)


@local.command(
    cls=Verb,
    examples=[
        ("local env", 'what to set; to set it in this shell: eval "$(trebuchet local env)"'),
    ],
)
@json_option
@session_options
@pass_session
def env(session: Session, form: Form | None) -> None:
    """Print variables that point the modal SDK at this engine.

    They work for any program that uses it. They hold the engine's token: treat them like a
    password of this machine.
    """
    variables = _daemon(session).variables()
    if form == "json":
        print_json(variables)
    else:
        _show_exports(variables)


@local.command(
    cls=Verb,
    examples=[
        ("local serve", "the engine that `cloud: local` uses, in this terminal"),
        ("local serve --state /tmp/modal", "another one, which shares nothing with it"),
    ],
)
@click.option("--port", type=WholeNumber(1, 65535), help="The port on 127.0.0.1. Default: any.")
@click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    help="The directory that holds all its state. Default: that of the cloud `local`.",
)
@session_options
@pass_session
def serve(session: Session, port: int | None, state: Path | None) -> None:
    """Run the engine in the foreground until Ctrl-C.

    It prints the variables that point any program that uses the modal SDK at it. They hold its
    token: treat them like a password of this machine. Sandboxes that still run when it ends run on.
    """
    _daemon(session, state).serve(port=port, on_ready=_show_exports)


local.add_command(gc)


def _show_exports(variables: dict[str, str]) -> None:
    for name, value in variables.items():
        show(f"export {name}={shlex.quote(value)}")
    sys.stdout.flush()


def _daemon(session: Session, state: Path | None = None) -> LocalDaemon:
    from trebuchet.engines.local import LocalDaemon  # noqa: PLC0415 - for these verbs alone

    return LocalDaemon(session.settings, state=state)
