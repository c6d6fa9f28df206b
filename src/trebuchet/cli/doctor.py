"""`trebuchet doctor`: what works here, what does not, and what to do about it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from trebuchet.cli.console import show
from trebuchet.cli.render import json_option, print_json
from trebuchet.cli.verb import Verb, pass_session, session_options
from trebuchet.errors import TrebuchetError

if TYPE_CHECKING:
    from trebuchet.cli.checks import Finding
    from trebuchet.cli.render import Form
    from trebuchet.cli.session import Session

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command(cls=Verb, examples=[("doctor", ""), ("doctor --json", "for bug reports")])
@json_option
@session_options
@pass_session
@click.pass_context
def doctor(ctx: click.Context, session: Session, form: Form | None) -> None:
    """Say what works here, and how to mend what does not.

    Looks at the SDK, the account, the local engine and the disk; fails if something cannot work.
    """
    from trebuchet.cli.checks import all_findings  # noqa: PLC0415 - for this verb alone

    findings: list[Finding] = []
    for finding in all_findings(session.settings):
        findings.append(finding)
        if form is None:
            _show(finding)
    if form == "json":
        print_json([asdict(finding) for finding in findings])
    if any(finding.level == "fail" for finding in findings):
        ctx.exit(TrebuchetError.exit_code)


def _show(finding: Finding) -> None:
    level = click.style(f"{finding.level:<4}", fg=_COLOURS[finding.level])
    show(f"{level}  {finding.subject}: {finding.found}")
    if finding.remedy:
        show(f"      {finding.remedy}")
