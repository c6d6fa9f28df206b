"""How old something is, on the command line."""

from __future__ import annotations

import re

import click

from trebuchet.cli.jobfile import length_of_time

_DAY_S = 86_400
_WEEKS = re.compile(r"(\d{1,6}(?:\.\d{1,6})?) ?w")


def age(text: str) -> float:
    """An age in seconds: as job files write lengths of time, or in weeks.

    Raises:
        BadParameter: It is none.
    """
    weeks = _WEEKS.fullmatch(text.strip())
    if weeks:
        return float(weeks[1]) * 7 * _DAY_S
    try:
        return length_of_time(text)
    except click.BadParameter:
        raise click.BadParameter(f"{text!r} is not an age like 90m, 24h, 30d or 1w.") from None


def age_in_days(text: str) -> float:
    """As `age`; a bare number is of days.

    Raises:
        BadParameter: It is none.
    """
    try:
        days = float(text)
    except ValueError:
        return age(text)
    if not 0 <= days < float("inf"):
        raise click.BadParameter(f"{text!r} is not a number of days of 0 or more.")
    return days * _DAY_S
