"""Other Python processes that run this package, wherever it lies."""

from __future__ import annotations

import os
from pathlib import Path

PACKAGE_ROOT = Path(__file__).resolve().parents[2]
"""The folder that has the package."""


def own_environment() -> dict[str, str]:
    """This process's variables, changed so that another Python finds the package where this one has it."""
    search_path = filter(None, (str(PACKAGE_ROOT), os.environ.get("PYTHONPATH")))
    return {**os.environ, "PYTHONPATH": os.pathsep.join(search_path)}
