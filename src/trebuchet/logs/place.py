"""Where a reader stands in a job's log, as text that can be handed back: `trebuchet logs --cursor TEXT`."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from trebuchet.errors import UsageError
from trebuchet.status import LogPosition

if TYPE_CHECKING:
    from collections.abc import Mapping

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_VERSION = "1"


def microseconds(moment: datetime) -> int:
    """Since the epoch, exactly: a float would lose the last digits."""
    return (moment - _EPOCH) // _MICROSECOND


def moment_of(count: int) -> datetime:
    return _EPOCH + timedelta(microseconds=count)


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the log of a job, across its attempts.

    Attributes:
        attempt: Which one's log.
        position: The last entry that was read of it; None for its beginning.
        held: By source, what was read and not yet given, because it may be the beginning of a marker line.
        given: By source, how many characters that are shown from there on were given: the place may lie
            within an entry, and streams stand at different places where one is in the middle of a line.
    """

    attempt: int
    position: LogPosition | None = None
    held: Mapping[str, str] = field(default_factory=dict[str, str])
    given: Mapping[str, int] = field(default_factory=dict[str, int])

    def further(self, more: Mapping[str, int]) -> Place:
        """The place behind so many further characters of each source."""
        given = {
            **self.given,
            **{source: self.given.get(source, 0) + count for source, count in more.items()},
        }
        return Place(self.attempt, self.position, self.held, given)


def encode(places: Mapping[str, Place]) -> str:
    """Places by job key, as one word.

    Returns:
        Text of letters, digits, `-` and `_`, to be taken as a whole.
    """
    data = {key: _as_data(place) for key, place in places.items()}
    packed = json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode()
    return _VERSION + base64.urlsafe_b64encode(packed).decode("ascii").rstrip("=")


def decode(text: str) -> dict[str, Place]:
    """Places by job key.

    Raises:
        UsageError: The text is no cursor.
    """
    version, packed = text[:1], text[1:]
    try:
        data: dict[str, dict[str, Any]] = json.loads(
            base64.b64decode(packed + "=" * (-len(packed) % 4), altchars=b"-_", validate=True)
        )
        places = {str(key): _from_data(place) for key, place in data.items()}
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise _not_a_cursor() from error
    if version != _VERSION:
        raise _not_a_cursor()
    return places


def require_of(text: str, attempts: Mapping[str, int]) -> None:
    """See that a cursor is of these jobs.

    Args:
        text: The cursor. It may lack some of them, which had said nothing yet.
        attempts: How many attempts each job has, by key.

    Raises:
        UsageError: The text is no cursor, is of other jobs, or of an attempt that its job has not.
    """
    places = decode(text)
    if places and not places.keys() & attempts.keys():
        raise UsageError(
            f"This cursor is of another log: of {', '.join(sorted(places))}.",
            hint="Name the jobs that it was printed for.",
        )
    for key, place in places.items():
        if key in attempts and not 1 <= place.attempt <= attempts[key]:
            raise UsageError(
                f"This cursor is of attempt {place.attempt} of {key}, which has {attempts[key]}.",
                hint="Give back the whole word that an earlier reader printed.",
            )


def _not_a_cursor() -> UsageError:
    return UsageError(
        "This is no cursor of a log.", hint="Give back the whole word that an earlier reader printed."
    )


def _as_data(place: Place) -> dict[str, Any]:
    data: dict[str, Any] = {"a": place.attempt}
    if place.position is not None:
        data |= {"t": microseconds(place.position.timestamp), "n": place.position.count}
    if place.held:
        data["h"] = dict(place.held)
    if place.given:
        data["g"] = dict(place.given)
    return data


def _from_data(data: dict[str, Any]) -> Place:
    position = LogPosition(moment_of(int(data["t"])), int(data["n"])) if "t" in data else None
    held = {str(source): str(text) for source, text in data.get("h", {}).items()}
    given = {str(source): int(count) for source, count in data.get("g", {}).items()}
    return Place(int(data["a"]), position, held, given)
