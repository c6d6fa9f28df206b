"""What of Trebuchet's own lies among a user's files: its state, and what it brought from jobs."""

from __future__ import annotations

import os
import re
from pathlib import Path

DRAFT_PREFIX = ".trebuchet-pull-"
"""What the names of files begin with that are being brought here."""

_PULLED = re.compile(r"outputs-[a-z2-7]{12}")
"""Of a key that was drawn. One that the user chose may be any word, and `outputs-old` any folder."""


def outputs_folder(key: str) -> str:
    """The folder that a job's outputs are brought to where no other is named."""
    return f"outputs-{key}"


def was_pulled(name: str) -> bool:
    """Whether a folder of this name is one that outputs were brought to."""
    return _PULLED.fullmatch(name) is not None


class Belongings:
    """Tells what in a folder is Trebuchet's own and is never sent, whatever ignore files say.

    Args:
        top: The folder.
        state: Where state is kept, tokens included; None to look for no such folder.
    """

    def __init__(self, top: Path, state: Path | None) -> None:
        self._state = None if state is None else state.resolve()
        self.is_top = self._state is not None and self._state == top.resolve()
        """Whether the folder is the state folder itself."""
        self._place = _place_in(top.resolve(), self._state)

    def why_not(self, path: str, name: str) -> str | None:
        """Why what is at this path (relative to the top, with `/`) is not sent; None where it is not ours."""
        if path == self._place:
            return "Trebuchet's own state, with its tokens"
        return "a pull that is not done" if name.startswith(DRAFT_PREFIX) else None

    def holds(self, file: Path) -> bool:
        """Whether a file lies in the state folder, by whichever links it was come to."""
        # `Path.resolve` raises where links go round in a circle.
        return self._state is not None and Path(os.path.realpath(file)).is_relative_to(self._state)


def _place_in(top: Path, state: Path | None) -> str | None:
    if state is None or state == top or not state.is_relative_to(top):
        return None
    return state.relative_to(top).as_posix()
