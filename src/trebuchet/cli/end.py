"""`trebuchet cancel`, `stop` and `down`: the three ways to end jobs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from trebuchet.cli.completion import known_clusters, known_jobs
from trebuchet.cli.console import printable, tell
from trebuchet.cli.render import form_options, metadata_of, print_statuses
from trebuchet.cli.verb import Verb, pass_session, session_options
from trebuchet.errors import ClusterNotFoundError
from trebuchet.launcher.search import find_to_end

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trebuchet.cli.render import Form
    from trebuchet.cli.session import Session
    from trebuchet.launcher import Launcher
    from trebuchet.status import JobStatus


@click.command(cls=Verb, examples=[("cancel k3f9", ""), ("cancel k3f9 a1b2", "several at once")])
@click.argument("jobs", metavar="JOB|CLUSTER...", nargs=-1, required=True, shell_complete=known_jobs)
@form_options
@session_options
@pass_session
def cancel(session: Session, jobs: tuple[str, ...], form: Form | None) -> None:
    """End jobs. One that has ended already stays what it was.

    A cluster's name does where one of its jobs is unfinished; for several there is "stop".
    """
    launcher = session.launcher
    found = [find_to_end(launcher, job) for job in jobs]  # A typing error must not end half of them.
    _print([launcher.cancel(each.key) for each in found], form)


@click.command(cls=Verb, examples=[("stop nightly", "")])
@click.argument("cluster", shell_complete=known_clusters)
@click.option("--cloud", metavar="CLOUD", help="Only on this cloud: modal or local.")
@form_options
@session_options
@pass_session
def stop(session: Session, cluster: str, cloud: str | None, form: Form | None) -> None:
    """Cancel every unfinished job of a cluster."""
    _end_cluster(session.launcher, session.launcher.stop, cluster, cloud, form)


@click.command(cls=Verb, examples=[("down nightly", "")])
@click.argument("cluster", shell_complete=known_clusters)
@click.option("--cloud", metavar="CLOUD", help="Only on this cloud: modal or local.")
@form_options
@session_options
@pass_session
def down(session: Session, cluster: str, cloud: str | None, form: Form | None) -> None:
    """Do as "stop", and verify that nothing runs any more."""
    _end_cluster(session.launcher, session.launcher.down, cluster, cloud, form)


def _end_cluster(
    launcher: Launcher,
    end: Callable[[str, str], list[JobStatus]],
    cluster: str,
    cloud: str | None,
    form: Form | None,
) -> None:
    ended = [status for name in _clouds_of(launcher, cluster, cloud) for status in end(name, cluster)]
    _print(ended, form)
    if not ended and form is None:
        tell(f"Nothing of {printable(cluster)} was running.")


def _clouds_of(launcher: Launcher, cluster: str, cloud: str | None) -> Sequence[str]:
    if cloud is not None:
        return [cloud]
    clouds = {
        launcher.get_cloud(str(metadata_of(job)["cloud"])).name for job in launcher.jobs(cluster=cluster)
    }
    if not clouds:
        raise ClusterNotFoundError(
            f"No job was ever launched on a cluster called {cluster!r} from here.",
            hint="if one was, from another machine: name its cloud with --cloud",
        )
    return sorted(clouds)


def _print(statuses: Sequence[JobStatus], form: Form | None) -> None:
    print_statuses(statuses, form, now=time.time())
