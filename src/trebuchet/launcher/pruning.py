"""Forgetting jobs that ended long ago, and nothing that somebody may still come for."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trebuchet.errors import NotFoundError, TrebuchetError
from trebuchet.lifecycle.again import is_foreign
from trebuchet.lifecycle.builds import log_path
from trebuchet.lifecycle.context import CALLS_AT_ONCE
from trebuchet.lifecycle.outputs import outputs_volume

if TYPE_CHECKING:
    from trebuchet.ledger import Job
    from trebuchet.lifecycle.contexts import Contexts


@dataclass(frozen=True, slots=True)
class Pruned:
    """What became of the jobs that ended long ago.

    Attributes:
        forgotten: How many are no longer known.
        kept: How many are, since their outputs are still there, or could not be looked for.
    """

    forgotten: int
    kept: int


def prune(contexts: Contexts, *, before: float, outputs: bool) -> Pruned:
    """Forget the jobs that ended before a time, and their logs.

    Args:
        contexts: The ledger, and the control planes that have the outputs.
        before: Seconds since the epoch.
        outputs: Also those with outputs, which are deleted; nobody could reach them any more.
    """
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - heavy, and rarely needed

    jobs = contexts.ledger.ended_before(before)

    def may_go(job: Job) -> bool:
        return _leaves_nothing(contexts, job, outputs=outputs)

    with ThreadPoolExecutor(max_workers=CALLS_AT_ONCE, thread_name_prefix="prune") as pool:
        going = [job.key for job, goes in zip(jobs, pool.map(may_go, jobs), strict=True) if goes]
    gone = contexts.ledger.prune(going)
    for key in gone:
        _remove_what_is_here(contexts, key)
    return Pruned(forgotten=len(gone), kept=len(jobs) - len(gone))


def _leaves_nothing(contexts: Contexts, job: Job, *, outputs: bool) -> bool:
    context = contexts.of_job(job)
    recipe = contexts.ledger.recipe(job.key)
    volume = outputs_volume(context.settings, recipe)
    keeps = recipe.config.get("outputs") is not False
    # The outputs of what another ledger launched are for that one to delete.
    if not (volume and keeps) or is_foreign(context, job):
        return True
    try:
        there = context.engine.list_files(volume, job.key)
        has_some = any(file.kind != "directory" for file in there)
        if has_some and outputs:
            context.engine.remove_files(volume, job.key)
    except NotFoundError:
        return True
    except TrebuchetError:
        return False
    return outputs or not has_some


def _remove_what_is_here(contexts: Contexts, key: str) -> None:
    from trebuchet.lifecycle.log_chain import archive_folder  # noqa: PLC0415 - a status reads no log
    from trebuchet.lifecycle.transfers import transfer_path  # noqa: PLC0415 - and sends nothing

    shutil.rmtree(archive_folder(contexts.settings.home, key), ignore_errors=True)
    for place in (log_path, transfer_path):
        with suppress(OSError):
            place(contexts.settings, key).unlink(missing_ok=True)
