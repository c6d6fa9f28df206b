"""How a job differs from what its key launched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from trebuchet.ledger import config_as_data

if TYPE_CHECKING:
    from trebuchet.job import JobConfig
    from trebuchet.ledger import Ledger

_OF_THE_FILE = {"source", "positions", "dialect_told"}
"""Where and how it was read, which is not what it is."""

_NOTHING = object()


def differences(ledger: Ledger, key: str, job: JobConfig) -> list[str]:
    """The fields in which a job is not what was launched under a key, by their dotted names.

    Values of variables are kept nowhere, so they are not compared. Of a job that was launched elsewhere
    nothing is known: no differences.

    Args:
        ledger: Which has the key.
        key: Of the launched job.
        job: What would be launched now.
    """
    recipe = ledger.recipe(key)
    if not recipe.candidates:
        return []
    now = config_as_data(job)
    before = {name: value for name, value in recipe.config.items() if name in now}  # A recipe holds more.
    return sorted(_differing(before, now))


def _differing(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    found = list[str]()
    for name in (before.keys() | now.keys()) - _OF_THE_FILE:
        old, new = before.get(name, _NOTHING), now.get(name, _NOTHING)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            inner = _differing(cast("dict[str, Any]", old), cast("dict[str, Any]", new))
            found += [f"{name}.{each}" for each in inner]
        else:
            found.append(name)
    return found
