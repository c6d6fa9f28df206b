"""Notes for whoever wants to know."""

from __future__ import annotations


def silent(_message: str) -> None:
    """As what is told: nobody."""
