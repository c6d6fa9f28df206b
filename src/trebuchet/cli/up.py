"""`trebuchet up` and `trebuchet run`: launch a job, and stay with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trebuchet.cli.jobfile import (
    JOB_OPTIONS,
    JobOptions,
    job_options,
    length_of_time,
    read_job,
    with_options,
)
from trebuchet.cli.launching import Request, Retry, launch_and_return, launch_and_stay
from trebuchet.cli.launching_many import launch_many
from trebuchet.cli.render import form_options
from trebuchet.cli.verb import OVERRIDES, JobFileVerb, pass_session, session_options
from trebuchet.errors import ClusterNotFoundError
from trebuchet.job import JobConfig

if TYPE_CHECKING:
    from collections.abc import Callable

    from trebuchet.cli.render import Form
    from trebuchet.cli.session import Session


def _launch_options(function: Callable[..., Any]) -> Callable[..., Any]:
    function = job_options(form_options(session_options(function)))
    for option in reversed(
        [
            click.option("-d", "--detach", is_flag=True, help="Return once it is launched."),
            click.option(
                "-k", "--key", metavar="KEY",
                help="Launch once for this key, for good. Given again it launches nothing: the same job "
                "comes back, and it is noted if the file has changed since.",
            ),
            click.option(
                "--pull", "pull_to", type=click.Path(path_type=Path), metavar="DEST",
                help="Bring its outputs here when it has ended.",
            ),
            click.option(
                "--wait-for-gpu", type=length_of_time, metavar="TIME",
                help="Ask for a GPU this long, then for the next one that the file names, or fail.",
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
        ("up a.yaml b.yaml c.yaml -d", "several at once"),
        ("up - < train.yaml", "a job file from a pipe"),
        ("up --retry k3f9", "a finished job once more, as it was written down"),
    ],
)
@click.argument("files", metavar="FILE...", nargs=-1, type=click.Path())
@click.option("-c", "--cluster", metavar="NAME", help="A label for this job and its like.")
@click.option(
    "--retry", metavar="JOB", help="Launch this finished job once more; its values are to be given again."
)
@_launch_options
@pass_session
@click.pass_context
def up(
    ctx: click.Context,
    session: Session,
    files: tuple[str, ...],
    cluster: str | None,
    retry: str | None,
    **options: Any,
) -> None:
    """Launch a job, and stay with it until it ends.

    Its output appears as it is written, and its exit code becomes this command's (124: timed out,
    137: cancelled, 200 and above: Trebuchet's own errors). Ctrl-C, once it is launched, leaves it
    running and says how to come back. Any field of the file can be overridden by its dotted name.
    """
    if retry is not None:
        _retry(ctx, session, retry, (files, cluster, options["key"], ctx.meta[OVERRIDES]), options)
    elif not files:
        raise click.UsageError("Missing argument 'FILE...'.", ctx)
    elif len(files) == 1:
        _launch(ctx, session, _read(ctx, files[0], options), cluster, **options)
    else:
        _launch_many(ctx, session, files, cluster, options)


def _retry(
    ctx: click.Context, session: Session, ref: str, changes: tuple[Any, ...], options: dict[str, Any]
) -> None:
    """Only values, and how to stay with it, can be given beside a job that is launched as it was."""
    values = ("env", "secret", "env_file")
    given = [name for name in JOB_OPTIONS if name not in values and options[name]]
    if any(changes) or given:
        raise click.UsageError("--retry launches a job as it was: nothing of it can be changed.", ctx)
    written = session.launcher.job(ref)
    bare = JobConfig(name=written.name)
    job = with_options(bare, JobOptions(**{name: options[name] for name in values}))
    request = Retry(
        launcher=session.launcher, job=job, cluster=None, key=None,
        wait_for_gpu=options["wait_for_gpu"], pull_to=options["pull_to"], of=written.key,
    )  # fmt: skip
    _go(ctx, request, detach=options["detach"], form=options["form"])


def _launch_many(
    ctx: click.Context, session: Session, files: tuple[str, ...], cluster: str | None, options: dict[str, Any]
) -> None:
    if options["key"] or options["wait_for_gpu"] or options["pull_to"]:
        raise click.UsageError("--key, --wait-for-gpu and --pull are for one file.", ctx)
    form, detach = options["form"], options["detach"]
    _check_form(ctx, form, detach=detach)
    changes = {name: options[name] for name in JOB_OPTIONS}
    jobs = [read_job(file, ctx.meta[OVERRIDES], JobOptions(**changes)) for file in files]
    ctx.exit(launch_many(session.launcher, jobs, cluster, cloud=options["cloud"], form=form, detach=detach))


@click.command(
    cls=JobFileVerb,
    examples=[("run eval.yaml -c nightly", "another job beside those of nightly")],
)
@click.argument("file", type=click.Path())
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
    _check_form(ctx, options["form"], detach=options["detach"])
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
    _go(ctx, request, detach=detach, form=form)


def _go(ctx: click.Context, request: Request, *, detach: bool, form: Form | None) -> None:
    _check_form(ctx, form, detach=detach)
    ctx.exit(launch_and_return(request, form) if detach else launch_and_stay(request))


def _check_form(ctx: click.Context, form: Form | None, *, detach: bool) -> None:
    if form is not None and not detach:
        raise click.UsageError("--json and -q print what was launched; they need -d (--detach).", ctx)
