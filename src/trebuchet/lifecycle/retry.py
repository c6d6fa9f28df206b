"""A finished job as it was written down, to be launched again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from trebuchet.errors import UsageError
from trebuchet.ledger import config_from_data

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trebuchet.job import JobConfig
    from trebuchet.ledger import Job, Ledger
    from trebuchet.plan.model import Plan


def as_written_down(ledger: Ledger, job: Job, values: Mapping[str, str]) -> tuple[JobConfig, Plan]:
    """What a finished job was launched from, with the values of its environment given again.

    Args:
        ledger: Which has the job.
        job: Its row.
        values: By name, of its `envs` and `secrets`; the ledger has none of them.

    Raises:
        UsageError: It has not ended, another machine launched it, a value is missing or nothing wants it.
    """
    from trebuchet.plan.model import Plan  # noqa: PLC0415 - a status makes no plan

    recipe = ledger.recipe(job.key)
    if job.end_at is None:
        raise UsageError(
            f"{job.name} ({job.key}) has not ended, so it cannot be launched again.",
            hint=f"Cancel it first: trebuchet cancel {job.key}",
        )
    if not recipe.candidates:
        raise UsageError(
            f"{job.name} ({job.key}) was launched elsewhere; what it was launched from is not known here.",
            hint="Launch its job file: trebuchet up FILE",
        )
    written = config_from_data(recipe.config)
    names = {*written.envs, *written.secrets}
    _check_names(job, names, values)
    config = replace(
        written,
        envs={name: values[name] for name in written.envs},
        secrets={name: values[name] for name in written.secrets},
    )
    candidates = tuple(replace(spec, env=dict(values)) for spec in recipe.candidates)
    plan = Plan(candidates=candidates, notes=(), dialect=config.dialect, cloud=job.cloud, account={})
    return config, plan


def _check_names(job: Job, names: set[str], values: Mapping[str, str]) -> None:
    if missing := sorted(names - values.keys()):
        raise UsageError(
            f"The values of {', '.join(missing)} are kept nowhere, and {job.name} needs them.",
            hint=f"Give them again: {' '.join(f'--env {name}' for name in missing)} takes them from here.",
        )
    if unknown := sorted(values.keys() - names):
        raise UsageError(f"{job.name} ({job.key}) has no variable {', '.join(unknown)}.")
