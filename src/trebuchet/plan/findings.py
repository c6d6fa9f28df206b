"""What was found about the fields of a job: each is translated, noted or refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trebuchet.plan.model import Note

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trebuchet.plan.model import Treatment


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a field cannot be honoured, a clause, and the way out where there is one."""

    field: str
    why: str
    hint: str | None = None


class Findings:
    """Collects what the parts of a plan say about fields; `account` holds it against those there are.

    A field is a dotted key of `JobConfig`. What is said about `resources` holds for all below it of which
    nothing else is said.
    """

    def __init__(self) -> None:
        self.settled: dict[str, Treatment] = {}
        self.empty: set[str] = set()
        # Each once, in the order in which they were found; a file may give thousands.
        self._notes: dict[Note, None] = {}
        self._refusals: dict[Refusal, None] = {}

    @property
    def notes(self) -> list[Note]:
        """What the user is told."""
        return list(self._notes)

    @property
    def refusals(self) -> list[Refusal]:
        """Why nothing is launched."""
        return list(self._refusals)

    def translated(self, *fields: str) -> None:
        """These do what they say."""
        for field in fields:
            self.settled.setdefault(field, "translated")

    def known(self, *fields: str) -> None:
        """These say nothing by themselves; only what is in them has to be settled."""
        self.empty.update(fields)

    def noted(self, field: str, done: str, why: str) -> None:
        """The field is accepted, and the user is told what becomes of it."""
        self._notes[Note(field=field, done=done, why=why)] = None
        if self.settled.get(field) != "refused":
            self.settled[field] = "noted"

    def refused(self, field: str, why: str, hint: str | None = None) -> None:
        """The field cannot be honoured, so nothing is launched; `why` is a clause."""
        self._refusals[Refusal(field, why, hint)] = None
        self.settled[field] = "refused"

    def adopt(self, others: Iterable[Findings]) -> None:
        """Take over what others found."""
        for other in others:
            for note in other.notes:
                self.noted(note.field, note.done, note.why)
            for refusal in other.refusals:
                self.refused(refusal.field, refusal.why, refusal.hint)
            self.translated(*other.settled)
            self.known(*other.empty)

    def adopt_as_dropped(self, other: Findings, fields: Iterable[str]) -> None:
        """Take over what was found about an alternative that cannot be had, where another one can."""
        for refusal in other.refusals:
            self.noted(refusal.field, "this alternative is left out", refusal.why)
        self.translated(*other.settled)
        self.known(*other.empty)
        for field in fields:
            self.settled.setdefault(field, "noted")
