"""The notes that a supervisor leaves: that a process runs, and how it ended.

A disk that is full for a while must not lose the end of anything: what there is no room for now is written as
soon as there is.
"""

from __future__ import annotations

import errno
import math
import time

from trebuchet.emulator.process.supervise import framing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_TRY_AGAIN_S = 1.0
_PASSES = framing.SPACE_IS_SHORT | {errno.EMFILE, errno.ENFILE, errno.ENOMEM}


class Notes:
    """Writes small files, each whole or not at all, now or later."""

    def __init__(self) -> None:
        self._unwritten: dict[str, dict[str, Any]] = {}
        self._due = math.inf

    @property
    def patience(self) -> float:
        """Seconds until it is worth another try; infinitely many where all is written."""
        return max(0.0, self._due - time.monotonic())

    def leave(self, path: str, content: dict[str, Any]) -> None:
        """Write a note, or keep it until there is room for it.

        Raises:
            OSError: It can never be written.
        """
        if not _written(path, content):
            self._unwritten[path] = content
            self._due = time.monotonic() + _TRY_AGAIN_S

    def try_again(self) -> bool:
        """Write what was kept, if it is time to; whether anything was written.

        Raises:
            OSError: It can never be written.
        """
        if time.monotonic() < self._due:
            return False
        before = len(self._unwritten)
        self._unwritten = {
            path: content for path, content in self._unwritten.items() if not _written(path, content)
        }
        self._due = time.monotonic() + _TRY_AGAIN_S if self._unwritten else math.inf
        return len(self._unwritten) < before

    def finish(self) -> None:
        """Return when everything is written, however long that takes.

        Raises:
            OSError: Something can never be written.
        """
        while self._unwritten:
            time.sleep(self.patience)
            self.try_again()


def _written(path: str, content: dict[str, Any]) -> bool:
    try:
        framing.write_object(path, content)
    except FileNotFoundError:
        pass  # its folder was removed: there is nobody left who could look for it
    except OSError as error:
        if error.errno not in _PASSES:
            raise
        return False
    return True
