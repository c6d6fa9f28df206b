"""`trebuchet status`: what runs, and what became of the rest."""

from __future__ import annotations

import time
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import click

from trebuchet.cli.completion import known_jobs
from trebuchet.cli.console import printable, tell, tell_note
from trebuchet.cli.jobfile import length_of_time
from trebuchet.cli.numbers import WholeNumber
from trebuchet.cli.render import duration, form_options, metadata_of, print_statuses
from trebuchet.cli.verb import Verb, pass_session, session_options
from trebuchet.errors import ClusterNotFoundError
from trebuchet.status import JobState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trebuchet.cli.render import Form
    from trebuchet.cli.session import Session
    from trebuchet.launcher import Launcher
    from trebuchet.status import JobStatus

_RECENT_S = 86_400


@click.command(
    cls=Verb,
    examples=[
        ("status", "unfinished jobs, and those that ended within a day"),
        ("status nightly k3f9", "all jobs of a cluster, and one job"),
        ("status --all --state failed", "everything that ever failed"),
        ("status --json | jq -r '.[].id'", "for programs"),
    ],
)
@click.argument("what", metavar="[JOB|CLUSTER...]", nargs=-1, shell_complete=known_jobs)
@click.option("--cluster", metavar="NAME", help="Only jobs of this cluster.")
@click.option("--cloud", metavar="CLOUD", help="Only jobs on this cloud: modal or local.")
@click.option(
    "--state",
    type=click.Choice([state.value for state in JobState], case_sensitive=False),
    multiple=True,
    help="Only jobs in this state. Repeatable.",
)
@click.option("--name", metavar="NAME", help="Only jobs of this name; * and ? stand for any characters.")
@click.option(
    "--since", type=length_of_time, metavar="TIME", help="Only jobs launched within this time: 90m, 24h."
)
@click.option("-a", "--all", "everything", is_flag=True, help="Old ones too.")
@click.option("-n", "--limit", type=WholeNumber(min=1), metavar="N", help="Only the N newest of these.")
@click.option("--cached", is_flag=True, help="As last seen; ask no control plane.")
@click.option(
    "-w", "--watch", is_flag=True, help="Keep it up to date, with what each job takes and said last."
)
@form_options
@session_options
@pass_session
def status(
    session: Session,
    *,
    what: tuple[str, ...],
    cluster: str | None,
    cloud: str | None,
    state: tuple[str, ...],
    name: str | None,
    since: int | None,
    limit: int | None,
    form: Form | None,
    everything: bool,
    cached: bool,
    watch: bool,
) -> None:
    """Show what runs, and what ended within a day.

    With a name, or a filter, old jobs are shown too.
    """
    launcher = session.launcher
    if everything and not cached:
        for name_of_cloud, why in launcher.adopt_everywhere(cloud).items():
            tell_note(f"what other machines launched on {name_of_cloud} is not known: {why}")
    asked = [_cluster_or_job(launcher, word, cluster, cloud) for word in what] or [(cluster, None)]

    def look() -> list[JobStatus]:
        """Those to be shown."""
        now = time.time()
        only_recent = not (everything or what or cluster or state or name or since)
        ended_since = now - _RECENT_S if only_recent else None
        found = {
            each.key or each.id: each
            for one, job in asked
            for group in launcher.status(cloud, one, job, cached=cached, ended_since=ended_since).values()
            for each in group
        }
        statuses = list(found.values())
        statuses.sort(key=lambda each: each.submit_time or now, reverse=True)
        shown = [
            each
            for each in statuses
            if (not state or each.state.value in state)
            and (name is None or fnmatchcase(each.name, name))
            and (since is None or _age(each, now) <= since)
            and (not only_recent or _is_recent(each, now))
        ]
        return shown[:limit]

    if watch:
        from trebuchet.cli.watching import watch_statuses  # noqa: PLC0415 - for this option alone

        watch_statuses(launcher, look)
        return
    shown = look()
    print_statuses(shown, form, now=time.time())
    if not shown and form is None:
        _tell_there_is_nothing(cloud, filtered=bool(launcher.jobs(cloud=cloud)))
    _tell_what_is_stale(shown)


def _cluster_or_job(
    launcher: Launcher, what: str, cluster: str | None, cloud: str | None
) -> tuple[str | None, str | None]:
    """A word may name a cluster or a job. A cluster's name wins: a job's key is seldom chosen."""
    if cluster is not None:
        return cluster, what
    if launcher.jobs(cluster=what) or (cloud is not None and _was_launched_elsewhere(launcher, what, cloud)):
        return what, None
    return None, what


def _was_launched_elsewhere(launcher: Launcher, cluster: str, cloud: str) -> bool:
    """Whether the cloud that was named has jobs of a cluster that this ledger has never heard of."""
    try:
        launcher.status(cloud, cluster)
    except ClusterNotFoundError:
        return False
    return True


def _age(status: JobStatus, now: float) -> float:
    return 0.0 if status.submit_time is None else now - status.submit_time


def _is_recent(status: JobStatus, now: float) -> bool:
    return not status.done or status.end_at is None or now - status.end_at < _RECENT_S


def _tell_there_is_nothing(cloud: str | None, *, filtered: bool) -> None:
    if cloud is not None and not filtered:
        tell(f"No jobs on {printable(cloud)}.")
    elif filtered:
        tell("No such jobs; all there ever were: trebuchet status --all")
    else:
        tell("No jobs yet. To launch one: trebuchet up examples/digits.yaml")


def _tell_what_is_stale(statuses: Sequence[JobStatus]) -> None:
    told = set[str]()
    for facts in map(metadata_of, statuses):
        why = str(facts.get("stale_why") or "")
        if why and why not in told:
            told.add(why)
            age = facts.get("stale_s")
            tell_note(f"some of this is {'old' if age is None else f'{duration(float(age))} old'}: {why}")
