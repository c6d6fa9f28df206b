"""`trebuchet wait`: block until jobs have ended."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from trebuchet.cli.attached import exit_code_for
from trebuchet.cli.completion import known_jobs
from trebuchet.cli.console import printable, tell
from trebuchet.cli.jobfile import length_of_time
from trebuchet.cli.render import form_options, print_statuses, summary
from trebuchet.cli.verb import Verb, pass_session, session_options
from trebuchet.cli.waiting import wait_for_ends

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trebuchet.cli.render import Form
    from trebuchet.cli.session import Session
    from trebuchet.status import JobStatus

STILL_RUNNING = 125
"""The exit code where `--timeout` ran out first."""


@click.command(
    cls=Verb,
    examples=[
        ("wait k3f9 && trebuchet up next.yaml", "one job after another"),
        ("wait nightly --timeout 2h", "all unfinished jobs of a cluster"),
        ("wait --any a1b2 c3d4", "the first of two"),
    ],
)
@click.argument("jobs", metavar="JOB|CLUSTER...", nargs=-1, required=True, shell_complete=known_jobs)
@click.option("--any", "any_one", is_flag=True, help="Return when one of them has ended.")
@click.option("--timeout", type=length_of_time, metavar="TIME", help="Give up after it (exit code 125).")
@form_options
@session_options
@pass_session
@click.pass_context
def wait(
    ctx: click.Context,
    session: Session,
    jobs: tuple[str, ...],
    timeout: int | None,
    form: Form | None,
    *,
    any_one: bool,
) -> None:
    """Wait until jobs have ended: of a cluster, all that are unfinished now.

    The exit code is the worst, each as "up" would have given it.
    """
    statuses = wait_for_ends(
        session.launcher, jobs, any_one=any_one, timeout=timeout, on_change=_tell_ends(form)
    )
    if form is not None:
        print_statuses(statuses, form, now=time.time())
    if not _is_over(statuses, any_one=any_one):
        _tell_what_goes_on(statuses)
    ctx.exit(_exit_code(statuses, any_one=any_one))


def _tell_ends(form: Form | None) -> Callable[[JobStatus], None]:
    def on_change(status: JobStatus) -> None:
        if status.done and form is None:
            tell(summary(status, now=time.time()))

    return on_change


def _tell_what_goes_on(statuses: Sequence[JobStatus]) -> None:
    left = [status for status in statuses if not status.done]
    for state in dict.fromkeys(status.state for status in left):
        named = ", ".join(f"{printable(one.name)} ({one.key})" for one in left if one.state is state)
        tell(f"timed out; still {state.value}: {named}")


def _is_over(statuses: Sequence[JobStatus], *, any_one: bool) -> bool:
    return (any if any_one else all)(status.done for status in statuses)


def _exit_code(statuses: Sequence[JobStatus], *, any_one: bool) -> int:
    if not _is_over(statuses, any_one=any_one):
        return STILL_RUNNING
    return max(exit_code_for(status) for status in statuses if status.done)
