"""What the kernel's overlays read from the folders that they lay over one another."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_OPAQUE = "user.overlay.opaque"
_YES = b"y"


def make_opaque(folder: Path) -> None:
    """Let a folder of a layer hide what the layers below have there, rather than merge with it."""
    os.setxattr(folder, _OPAQUE, _YES)


def is_opaque(folder: Path) -> bool:
    """Whether a folder of a layer hides what the layers below have there."""
    try:
        return os.getxattr(folder, _OPAQUE) == _YES
    except OSError:
        return False
