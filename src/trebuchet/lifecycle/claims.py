"""Who is about to create a sandbox, and whether that process still lives.

A claim is the name of a file that its process keeps locked. The system lets go of the lock when the process
dies, however it dies, and no number is reused as process ids are.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from trebuchet.settings import make_missing_folder

if TYPE_CHECKING:
    from pathlib import Path


_made_here: dict[str, int] = {}
"""Claims by the process that made them. Opening and closing a file of one's own would let go of its lock,
since these locks belong to the process as a whole."""


class Claims:
    """The claims of one ledger's processes.

    Args:
        folder: Where the locked files are; made when it is needed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._file: int | None = None
        self._token = ""
        self._pid = 0

    def token(self) -> str:
        """This process's claim, made at the first call; a forked child gets one of its own."""
        with self._lock:
            if self._pid != os.getpid():
                make_missing_folder(self._folder)
                self._token = secrets.token_hex(8)
                # The parent's file stays open in a child; closing it here would not free the parent's lock.
                # A bare descriptor: it stays open until the process ends, where an object would complain.
                self._file = os.open(self._folder / self._token, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                fcntl.lockf(self._file, fcntl.LOCK_EX)
                self._pid = _made_here[self._token] = os.getpid()
            return self._token

    def is_alive(self, token: str) -> bool:
        """Whether the process that made a claim lives."""
        if _made_here.get(token) == os.getpid():
            return True
        path = self._folder / token
        try:
            with path.open("r+", encoding="ascii") as file:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                with suppress(FileNotFoundError):
                    path.unlink()
                return False
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True

    def close(self) -> None:
        """Give this process's claim up."""
        with self._lock:
            if self._file is not None and self._pid == os.getpid():
                _made_here.pop(self._token, None)
                with suppress(FileNotFoundError):
                    (self._folder / self._token).unlink()
                os.close(self._file)
            self._file, self._token, self._pid = None, "", 0
