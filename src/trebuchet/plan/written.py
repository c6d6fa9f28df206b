"""Fields as the job's file writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trebuchet.errors import Problem

if TYPE_CHECKING:
    from trebuchet.job import JobConfig
    from trebuchet.plan.findings import Refusal


class Written:
    """A job's file: what it calls each field, and where the field stands.

    Args:
        job: What was read from it.
    """

    def __init__(self, job: JobConfig) -> None:
        self._file = str(job.source)
        self._positions = job.positions

    def key(self, field: str) -> str:
        """The file's own name for a dotted key of `JobConfig`."""
        position = self._positions.get(field)
        return position.key if position else field

    def problem(self, refusal: Refusal) -> Problem:
        """A refusal with the place that it is about."""
        key = self.key(refusal.field)
        message = f"{key}: {refusal.why}." if key else f"{refusal.why}."
        position = self._positions.get(refusal.field)
        if position is None or position.line is None:
            return Problem(message, refusal.hint)
        return Problem(message, refusal.hint, self._file, position.line, position.column)
