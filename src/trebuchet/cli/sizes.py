"""Bytes, for people."""

from __future__ import annotations

_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def size(count: int) -> str:
    """Bytes in the decimal unit that suits them: `1 byte`, `3.4 MB`, `120 GB`."""
    amount, unit = float(count), 0
    while amount >= 999.5 and unit < len(_UNITS) - 1:  # what would be rounded to 1000 has the next unit
        amount, unit = amount / 1000, unit + 1
    if unit == 0:
        return f"{count} {'byte' if count == 1 else 'bytes'}"
    return f"{amount:.3g} {_UNITS[unit]}" if amount < 100 else f"{amount:.0f} {_UNITS[unit]}"
