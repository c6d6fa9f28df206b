"""What may stand where something from a job is to go."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from trebuchet.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


def refuse_what_is_no_file(target: Path, *, hint: str | None = None) -> None:
    """Leave devices and pipes alone, even behind a link: what comes would take their name, or their mode.

    Raises:
        UsageError: It is there, and neither a file nor a folder.
    """
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise UsageError(f"{target} is there, and is neither a file nor a folder.", hint=hint)
