"""`trebuchet plan`: what would be asked of the control plane, and every note about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from trebuchet.cli.console import show
from trebuchet.cli.jobfile import JobOptions, job_options, read_job
from trebuchet.cli.lacking import as_if_given
from trebuchet.cli.plan_text import plan_text
from trebuchet.cli.render import json_option, print_json
from trebuchet.cli.travelling import travelling
from trebuchet.cli.verb import OVERRIDES, JobFileVerb, pass_session, session_options
from trebuchet.errors import PlanError
from trebuchet.lifecycle.sources import unsendable

if TYPE_CHECKING:
    from trebuchet.cli.render import Form
    from trebuchet.cli.session import Session
    from trebuchet.cli.travelling import Travelling


@click.command(
    cls=JobFileVerb,
    examples=[
        ("plan train.yaml", ""),
        ("plan train.yaml --cloud modal --gpus H100:8", "before a cent is spent"),
        ("plan train.yaml --json", "for programs"),
    ],
)
@click.argument("file", type=click.Path())
@job_options
@json_option
@session_options
@pass_session
@click.pass_context
def plan(ctx: click.Context, session: Session, file: str, form: Form | None, **options: Any) -> None:
    """Show what "up" would ask for, and create nothing.

    Environment variables are shown by name, never by value, and secrets need none yet. Fails, the plan
    shown, if a local file that the job names is missing here.
    """
    job, lacking = as_if_given(read_job(file, ctx.meta[OVERRIDES], JobOptions(**options)))
    planned = session.launcher.plan(job)
    missing = unsendable(job, planned)
    sent = travelling(planned, state=session.settings.home, without=missing)
    if form == "json":
        from trebuchet.plan.export import plan_to_dict  # noqa: PLC0415 - for JSON alone

        files = [_counted(one) for one in sent]
        print_json({**plan_to_dict(planned), "files": files, "lacking": lacking})
    else:
        show(plan_text(planned, job, sent, lacking))
    if missing:
        raise PlanError(list(missing.values()))


def _counted(one: Travelling) -> dict[str, Any]:
    return {
        "source": str(one.upload.source),
        "count": one.manifest.count,
        "bytes": one.manifest.bytes,
        "largest": [{"path": file.path, "bytes": file.size} for file in one.manifest.largest()],
        "left_out": [{"path": left.path, "why": left.why} for left in one.manifest.left_out],
    }
