"""What was wanted and what was last seen, in one SQLite file."""

from __future__ import annotations

from trebuchet.ledger.codec import config_as_data, config_from_data
from trebuchet.ledger.ledger import Ledger
from trebuchet.ledger.records import Attempt, Event, Intended, Job, Made, Outcome, Recipe, Unarchived

__all__ = [
    "Attempt",
    "Event",
    "Intended",
    "Job",
    "Ledger",
    "Made",
    "Outcome",
    "Recipe",
    "Unarchived",
    "config_as_data",
    "config_from_data",
]
