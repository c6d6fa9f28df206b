"""How long a job may still run: what its file grants, less what its attempts have used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trebuchet.status import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trebuchet.ledger import Attempt, Recipe

SHORTEST_S = 1
"""What a sandbox lives at least."""

_MOST_GRACE_S = 120
_MOST_ROOM_S = 480
_SECONDS_AN_HOUR = 3_600


@dataclass(frozen=True, slots=True)
class Share:
    """What the next sandbox of a job gets.

    Attributes:
        life_s: Seconds until the control plane ends it.
        limit_s: Seconds until its scripts are asked to make room for a successor; None where none follows.
        grace_s: Seconds they then have.
    """

    life_s: int
    limit_s: int | None = None
    grace_s: int = 0


@dataclass(frozen=True, slots=True)
class Budget:
    """The time that a job has left.

    Attributes:
        left_s: Seconds, over all attempts to come; None where only a sandbox's longest life limits them.
        longest_s: A sandbox's longest life.
        chains: Whether a job that outlives a sandbox goes on in another one.
    """

    left_s: float | None
    longest_s: int
    chains: bool

    @property
    def spent(self) -> bool:
        """Whether there is no time for another sandbox."""
        return self.left_s is not None and self.left_s < SHORTEST_S

    def share(self) -> Share:
        """What a sandbox made now gets: all that is left, or, of more than it can live, a link of a chain."""
        if not self.chains or self.left_s is None or self.left_s <= self.longest_s:
            left = self.longest_s if self.left_s is None else min(int(self.left_s), self.longest_s)
            return Share(max(SHORTEST_S, left))
        grace = min(_MOST_GRACE_S, self.longest_s // 4)
        # Room for what a sandbox does before its scripts begin, and for keeping their outputs afterwards.
        room = min(_MOST_ROOM_S, self.longest_s // 4)
        return Share(self.longest_s, max(SHORTEST_S, self.longest_s - grace - room), grace)


def budget(recipe: Recipe, candidate: int, attempts: Sequence[Attempt], *, longest_s: int) -> Budget:
    """What is left to a job.

    Args:
        recipe: The job's.
        candidate: Which of its candidates comes next, for what that costs.
        attempts: All of it, those included that have not ended and so have used nothing yet.
        longest_s: A sandbox's longest life.
    """
    used = sum(map(used_s, attempts))
    config = recipe.config
    left = [limit - used for name in ("timeout", "max_duration") if (limit := config.get(name)) is not None]
    affordable = _affordable_s(recipe, candidate, attempts)
    return Budget(
        min([*left, *affordable], default=None), longest_s, chains=config.get("timeout") is not None
    )


def _affordable_s(recipe: Recipe, candidate: int, attempts: Sequence[Attempt]) -> list[float]:
    most = recipe.config.get("max_cost")
    if most is None or not recipe.prices or recipe.prices[candidate] <= 0:
        return []
    spent = sum(used_s(one) * recipe.prices[one.candidate] for one in attempts) / _SECONDS_AN_HOUR
    return [(most - spent) / recipe.prices[candidate] * _SECONDS_AN_HOUR]


def used_s(attempt: Attempt) -> float:
    """Seconds that an ended attempt's sandbox has lived, at most what it was given; none in a queue alone."""
    if attempt.created_at is None or attempt.end_at is None or attempt.reason is Reason.LAUNCH_FAILED:
        return 0.0
    lived = max(0.0, attempt.end_at - attempt.created_at)
    return lived if attempt.allotted_s is None else min(lived, attempt.allotted_s)
