"""`trebuchet check`: would these job files run?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from trebuchet.cli.console import show
from trebuchet.cli.jobfile import JobOptions, job_options, read_job
from trebuchet.cli.render import json_option, print_json
from trebuchet.cli.verb import OVERRIDES, JobFileVerb, pass_session, session_options
from trebuchet.errors import JobFileError, PlanError, TrebuchetError
from trebuchet.lifecycle.sources import require_sources

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trebuchet.cli.render import Form
    from trebuchet.cli.session import Session

_COLOURS = {"runs": "green", "runs with notes": "yellow", "refused": "red"}


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What would become of one job file.

    Attributes:
        file: As it was given.
        notes: What the user should know, where it runs.
        refusals: Why it does not run; empty where it does.
        account: Every leaf key, and what became of it; empty where it is refused.
        refused_with: The error's exit code; 0 where it runs.
    """

    file: str
    notes: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()
    account: dict[str, str]
    refused_with: int = 0

    @property
    def word(self) -> str:
        if self.refusals:
            return "refused"
        return "runs with notes" if self.notes else "runs"


@click.command(
    cls=JobFileVerb,
    examples=[
        ("check jobs/*.yaml", ""),
        ("check train.yaml --cloud modal --json", "with the account of every field"),
    ],
)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path())
@job_options
@json_option
@session_options
@pass_session
@click.pass_context
def check(
    ctx: click.Context, session: Session, files: tuple[str, ...], form: Form | None, **options: Any
) -> None:
    """Say of each job file whether it would run, launched from here.

    A line each; fails if one would not. Local files that it names have to be here, and secrets given.
    """
    chosen = JobOptions(**options)
    verdicts = [_verdict(session, file, ctx.meta[OVERRIDES], chosen) for file in files]
    if form == "json":
        print_json([_record(verdict) for verdict in verdicts])
    else:
        for verdict in verdicts:
            show(_line(verdict))
    ctx.exit(max(verdict.refused_with for verdict in verdicts))


def _verdict(session: Session, file: str, overrides: Sequence[str], options: JobOptions) -> Verdict:
    try:
        job = read_job(file, overrides, options)
        planned = session.launcher.plan(job)
        require_sources(job, planned)
    except (JobFileError, PlanError) as error:
        refusals = tuple(str(problem) for problem in error.problems)
        return Verdict(file=file, refusals=refusals, account={}, refused_with=error.exit_code)
    except TrebuchetError as error:
        told = f"{error} ({error.hint})" if error.hint else str(error)
        return Verdict(file=file, refusals=(told,), account={}, refused_with=error.exit_code)
    notes = tuple(f"{note.field}: {note.done}, {note.why}" for note in planned.notes)
    return Verdict(file=file, notes=notes, account={**planned.account})


def _record(verdict: Verdict) -> dict[str, Any]:
    return {
        "file": verdict.file,
        "verdict": verdict.word,
        "notes": verdict.notes,
        "refusals": verdict.refusals,
        "account": verdict.account,
    }


def _line(verdict: Verdict) -> str:
    told = f"{verdict.file}: {click.style(verdict.word, fg=_COLOURS[verdict.word])}"
    why = "; ".join(verdict.refusals) or (f"{len(verdict.notes)}, see plan" if verdict.notes else "")
    return f"{told} ({why})" if why else told
