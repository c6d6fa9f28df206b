"""Reading what was written down, maybe by another version of this package."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

    from _typeshed import DataclassInstance


def known_values(kind: type[DataclassInstance], written: object) -> dict[str, Any]:
    """The values of a dataclass's fields, without those that only a newer version has.

    Raises:
        TypeError: What was written is something else.
    """
    if not isinstance(written, dict):
        raise TypeError(f"{written!r:.100} is no {kind.__name__}")
    known = {each.name for each in fields(kind)}
    values = cast("Mapping[str, Any]", written)
    return {name: value for name, value in values.items() if name in known}
