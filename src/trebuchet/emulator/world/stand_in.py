"""Where this machine's own system, which stands in for Modal's bases, is not what was asked for."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_PYTHON = re.compile(r"FROM python:(\d+\.\d+)", re.IGNORECASE)
_MICROMAMBA = re.compile(r"FROM (mambaorg/micromamba:\S+)", re.IGNORECASE)
_OURS = f"{sys.version_info.major}.{sys.version_info.minor}"
"""The Python of sandboxes is a copy of the engine's."""


def missing_from(commands: Sequence[str]) -> str:
    """What a base of Modal's has that this machine lacks, in a sentence; empty where that is nothing.

    Args:
        commands: The lines of its Dockerfile.
    """
    text = "\n".join(commands)
    if (asked := _PYTHON.search(text)) is not None and asked[1] != _OURS:
        return (
            f"Python {asked[1]} was asked for. Sandboxes have this machine's system and Python {_OURS} here; "
            f'modal.Image.from_registry("python:{asked[1]}-slim") brings the other.\n'
        )
    if (asked := _MICROMAMBA.search(text)) is not None:
        return (
            f"micromamba was asked for. Sandboxes have this machine's system and Python {_OURS} here, "
            f'without it; modal.Image.from_registry("{asked[1]}") brings it.\n'
        )
    return ""
