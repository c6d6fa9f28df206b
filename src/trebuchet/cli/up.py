"""`trebuchet up` and `trebuchet run`: launch a job, and stay with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trebuchet.cli.jobfile import JOB_OPTIONS, JobOptions, job_options, length_of_time, read_job
from trebuchet.cli.launching import Request, launch_and_return, launch_and_stay
from trebuchet.cli.render import form_options
from trebuchet.cli.verb import OVERRIDES, JobFileVerb, pass_session, session_options
from trebuchet.errors import ClusterNotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable

    from trebuchet.cli.render import Form
    from trebuchet.cli.session import Session
    from trebuchet.job import JobConfig


def _launch_options(function: Callable[..., Any]) -> Callable[..., Any]:
    function = job_options(form_options(session_options(function)))
    for option in reversed(
        [
            click.option("-d", "--detach", is_flag=True, help="Return once it is launched."),
            click.option(
                "-k", "--key", metavar="KEY",
                help="Launch once for this key: given again, the same job comes back.",
            ),
            click.option(
                "--pull", "pull_to", type=click.Path(path_type=Path), metavar="DEST",
                help="Bring its outputs here when it has ended.",
            ),
            click.option(
                "--wait-for-gpu", type=length_of_time, metavar="TIME", help="Ask for a GPU this long."
            ),
        ]
    ):  # fmt: skip
        function = option(function)
    return function


@click.command(
    cls=JobFileVerb,
    examples=[
        ("up train.yaml", "launch, show its output, exit with its code"),
        ("up train.yaml -d", "launch and return"),
        ("up train.yaml --cloud modal --gpus H100:2", "somewhere else, with other GPUs"),
        ("up train.yaml -c nightly --secret HF_TOKEN", "under a label, with your own HF_TOKEN"),
        ("up train.yaml --resources.cpus 8 --envs.SEED 7", "override any field of the file"),
    ],
)
@click.argument("file")
@click.option("-c", "--cluster", metavar="NAME", help="A label for this job and its like.")
@_launch_options
@pass_session
@click.pass_context
def up(ctx: click.Context, session: Session, file: str, cluster: str | None, **options: Any) -> None:
    """Launch a job, and stay with it until it ends.

    Its output appears as it is written, and its exit code becomes this command's (124: timed out,
    137: cancelled, 200 and above: Trebuchet's own errors). Ctrl-C, once it is launched, leaves it
    running and says how to come back. Any field of the file can be overridden by its dotted name.
    """
    job = _read(ctx, file, options)
    _launch(ctx, session, job, cluster, **options)


@click.command(
    cls=JobFileVerb,
    examples=[("run eval.yaml -c nightly", "another job beside those of nightly")],
)
@click.argument("file")
@click.option("-c", "--cluster", metavar="NAME", required=True, help="The label; it must be in use.")
@_launch_options
@pass_session
@click.pass_context
def run(ctx: click.Context, session: Session, file: str, cluster: str, **options: Any) -> None:
    """Launch another job under a label that is in use.

    All else is as with "up".
    """
    job = _read(ctx, file, options)
    cloud = session.launcher.get_cloud(job)
    if cloud.get_cluster(cluster) is None:
        raise ClusterNotFoundError(
            f"No job was ever launched on a cluster called {cluster!r} on cloud {cloud.name}.",
            hint=f"to begin one: trebuchet up {file} -c {cluster}",
        )
    _launch(ctx, session, job, cluster, **options)


def _read(ctx: click.Context, file: str, options: dict[str, Any]) -> JobConfig:
    """Take the options that change the job out of all those given, and read it so."""
    if options["form"] is not None and not options["detach"]:
        raise click.UsageError("--json and -q print what was launched; they need -d (--detach).", ctx)
    changes = {name: options.pop(name) for name in JOB_OPTIONS}
    return read_job(file, ctx.meta[OVERRIDES], JobOptions(**changes))


def _launch(
    ctx: click.Context, session: Session, job: JobConfig, cluster: str | None, *,
    detach: bool, form: Form | None, key: str | None, wait_for_gpu: int | None, pull_to: Path | None,
) -> None:  # fmt: skip
    if pull_to is not None and detach:
        raise click.UsageError("--pull waits for the job's end; it cannot go with -d (--detach).", ctx)
    request = Request(
        launcher=session.launcher, job=job, cluster=cluster, key=key,
        wait_for_gpu=wait_for_gpu, pull_to=pull_to,
    )  # fmt: skip
    if detach:
        ctx.exit(launch_and_return(request, form))
    else:
        ctx.exit(launch_and_stay(request))
