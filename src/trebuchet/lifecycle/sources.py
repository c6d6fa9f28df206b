"""Whether the local files that a job names can be sent, told before anything is created."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trebuchet.errors import PlanError, Problem, UsageError
from trebuchet.uploads import require_source

if TYPE_CHECKING:
    from trebuchet.job import JobConfig
    from trebuchet.plan.model import Plan
    from trebuchet.sandbox import Upload


def unsendable(job: JobConfig, plan: Plan) -> dict[Upload, Problem]:
    """What is missing here or cannot be sent, so that a launch is refused, and where the file names it."""
    fields = {upload: field for field, upload in plan.sources.items()}
    found = dict["Upload", Problem]()
    for upload in dict.fromkeys(upload for spec in plan.candidates for upload in spec.uploads):
        try:
            require_source(upload)
        except UsageError as error:
            found[upload] = _problem(job, fields.get(upload), error)
    return found


def require_sources(job: JobConfig, plan: Plan) -> None:
    """Go on only where all local files can be sent.

    Raises:
        PlanError: With each that cannot.
    """
    if found := unsendable(job, plan):
        raise PlanError(list(found.values()))


def _problem(job: JobConfig, field: str | None, error: UsageError) -> Problem:
    if field is None:  # A job that is launched again knows its files, and no longer where they were named.
        return Problem(str(error), error.hint)
    from trebuchet.plan.findings import Refusal  # noqa: PLC0415 - a status makes no plan
    from trebuchet.plan.written import Written  # noqa: PLC0415 - as above

    return Written(job).problem(Refusal(field, str(error).rstrip("."), error.hint))
