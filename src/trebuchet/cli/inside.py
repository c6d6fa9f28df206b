"""`trebuchet exec`, `shell`, `cp`, `ports`: inside a running job."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from trebuchet.cli.attached import leaving_on_signals
from trebuchet.cli.completion import known_jobs
from trebuchet.cli.console import printable, show, tell, tell_note
from trebuchet.cli.leaving import for_a_reader
from trebuchet.cli.render import json_option, print_json
from trebuchet.cli.verb import Verb, pass_session, session_options

if TYPE_CHECKING:
    from trebuchet.cli.render import Form
    from trebuchet.cli.session import Session

_AS_GIVEN = {"ignore_unknown_options": True, "allow_interspersed_args": False}


@click.command(
    cls=Verb,
    name="exec",
    context_settings=_AS_GIVEN,
    examples=[("exec k3f9 -- nvidia-smi", ""), ("exec k3f9 -- cat config.json > config.json", "")],
)
@session_options
@click.argument("what", metavar="JOB|CLUSTER", shell_complete=known_jobs)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@pass_session
@click.pass_context
def exec_in(ctx: click.Context, session: Session, what: str, command: tuple[str, ...]) -> None:
    """Run a command inside a running job.

    With this command's own input, output and exit code, in the job's work dir. It is ended if its reader
    goes, or this command is left.
    """
    with for_a_reader(), leaving_on_signals() as leave:
        leave.launched()
        code = session.launcher.inside(what).exec(_without_dashes(command))
    ctx.exit(code)


@click.command(
    cls=Verb,
    context_settings=_AS_GIVEN,
    examples=[("shell k3f9", ""), ("shell k3f9 -- htop", "another program on a terminal")],
)
@session_options
@click.argument("what", metavar="JOB|CLUSTER", shell_complete=known_jobs)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@pass_session
@click.pass_context
def shell(ctx: click.Context, session: Session, what: str, command: tuple[str, ...]) -> None:
    """Open a shell on a terminal inside a running job."""
    ctx.exit(session.launcher.inside(what).shell(_without_dashes(command)))


@click.command(
    cls=Verb,
    examples=[("cp k3f9:checkpoints/last.pt .", "out of the job"), ("cp fix.py k3f9:src/", "into it")],
)
@click.argument("source", type=click.Path())
@click.argument("target", type=click.Path())
@session_options
@pass_session
def cp(session: Session, source: str, target: str) -> None:
    """Copy a file or folder into a running job, or out of it.

    JOB:PATH is a place in the job, relative to its work dir. A folder that is there, or a target that
    ends in /, takes the copy under its own name. Links out of a folder are followed.
    """
    out_of, from_path = _place(source)
    into, to_path = _place(target)
    if (out_of is None) == (into is None):
        raise click.UsageError("One of the two places is in a job: write it as JOB:PATH.")
    if out_of is not None:
        session.launcher.inside(out_of).fetch(from_path, target, tell=_tell_of_file)
    elif into is not None:
        session.launcher.inside(into).send(Path(source), to_path or "./", tell=_tell_of_file)


def _tell_of_file(text: str) -> None:
    tell_note(printable(text))


@click.command(cls=Verb, examples=[("ports k3f9", "an address a line")])
@click.argument("what", metavar="JOB|CLUSTER", shell_complete=known_jobs)
@json_option
@session_options
@pass_session
def ports(session: Session, what: str, form: Form | None) -> None:
    """Print where the ports of a running job are reached.

    Those that its file asks for, under resources.ports.
    """
    found = session.launcher.inside(what).ports()
    if form == "json":
        print_json({str(port): address for port, address in found.items()})
        return
    for port, address in sorted(found.items()):
        show(f"{port}  {address}")
    if not found:
        tell("No ports. A job file asks for them under resources.ports")


def _without_dashes(command: tuple[str, ...]) -> tuple[str, ...]:
    return command[1:] if command[:1] == ("--",) else command


def _place(word: str) -> tuple[str | None, str]:
    """A job and a path in it, or a path here."""
    job, colon, path = word.partition(":")
    if not colon or "/" in job or not job:
        return None, word
    return job, path
