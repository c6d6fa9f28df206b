"""A file that is being brought here: under a name of its own until it is whole, and resumed if it broke off.

Beside the draft of a large file lies a list of the stretches that have come, each with its digest; whoever
goes on reads them back and brings again what does not fit.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from trebuchet.belongings import DRAFT_PREFIX
from trebuchet.client.sinks import Comparing, Sink, StoppedError
from trebuchet.engines.base import STRETCH_BYTES, Stretch
from trebuchet.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_LOOKS_AGAIN_S = 0.1


class Draft:
    """The draft of one file. One process at a time has it; another one waits.

    Args:
        target: What it is to be called.
        size: In bytes.
        modified_at: Seconds since the epoch. With the size it tells whether an earlier draft is of this file.
        stopped: Set when nothing is to be waited for or written any more.
    """

    def __init__(self, target: Path, *, size: int, modified_at: int, stopped: threading.Event) -> None:
        self._target = target
        self._size = size
        self._modified_at = modified_at
        self._stopped = stopped
        name = DRAFT_PREFIX + hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]
        self._path = target.with_name(name)
        self._list_path = target.with_name(f"{name}.parts")
        self._lock = threading.Lock()
        self._file = self._locked()

    def stretches(self) -> list[Stretch]:
        """All of it, in parts."""
        return [
            Stretch(start, min(STRETCH_BYTES, self._size - start))
            for start in range(0, self._size, STRETCH_BYTES)
        ]

    def missing(self, on_bytes: Callable[[int], None]) -> list[Stretch]:
        """The stretches that have still to come, once those that came earlier are checked.

        Args:
            on_bytes: Told how many bytes are here.
        """
        known = self._known()
        missing = list[Stretch]()
        for one in self.stretches():
            if one.start in known and known[one.start] == self._digest(one):
                on_bytes(one.length)
            else:
                missing.append(one)
        if sum(one.length for one in missing) == self._size:
            self.resize(0)  # What is here may be of another file.
            self._list_path.unlink(missing_ok=True)
        self.resize(self._size)
        return missing

    def resize(self, size: int) -> None:
        """Make it so long."""
        self._file.truncate(size)

    def sink(self) -> Sink:
        """A file of its own to write a stretch into, which leaves holes where there is nothing but zeros."""
        return Sink(os.dup(self._file.fileno()), self._stopped, target=self._target)

    def comparing(self) -> Comparing:
        """A file of its own that compares what is written into it with what is here."""
        return Comparing(os.dup(self._file.fileno()), self._stopped, target=self._target)

    def came(self, stretch: Stretch) -> None:
        """Write down that a stretch is here."""
        facts = {"size": self._size, "time": self._modified_at}
        line = json.dumps({**facts, "at": stretch.start, "is": self._digest(stretch)})
        with self._lock, self._list_path.open("a", encoding="ascii") as file:
            file.write(line + "\n")

    def finish(self) -> None:
        """Give the file its name and its time.

        Raises:
            NotFoundError: Something else has taken the draft's place.
            OSError: The name cannot be had: a folder has it, say.
        """
        os.fsync(self._file.fileno())
        os.utime(self._file.fileno(), (self._modified_at, self._modified_at))
        if not os.path.samestat(os.fstat(self._file.fileno()), self._path.lstat()):
            raise NotFoundError(f"Something else has taken the place of {self._path}.", hint="Try again.")
        try:
            self._path.replace(self._target)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._target)) from error
        self._list_path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of it; the next one goes on with what is here."""
        self._file.close()

    def discard(self) -> None:
        """Remove it."""
        self._path.unlink(missing_ok=True)
        self._list_path.unlink(missing_ok=True)
        self.close()

    def _locked(self) -> BinaryIO:
        while True:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            file = cast("BinaryIO", os.fdopen(os.open(self._path, flags, 0o666), "r+b", buffering=0))
            while not _is_locked(file):
                if self._stopped.wait(_LOOKS_AGAIN_S):
                    file.close()
                    raise StoppedError("The transfer was given up.")
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file.fileno()), self._path.lstat()):
                    return file
            file.close()  # Whoever had it finished it meanwhile.

    def _known(self) -> dict[int, str]:
        """The digests of the stretches that came earlier, by where they begin."""
        known = dict[int, str]()
        for line in self._listed():
            with suppress(ValueError, KeyError, TypeError):  # The last line of a writer that was killed.
                entry: dict[str, Any] = json.loads(line)
                if (entry["size"], entry["time"]) == (self._size, self._modified_at):
                    known[int(entry["at"])] = str(entry["is"])
        return known

    def _listed(self) -> Iterator[str]:
        with suppress(FileNotFoundError), self._list_path.open(encoding="ascii", errors="replace") as file:
            yield from file

    def _digest(self, stretch: Stretch) -> str:
        start, length = stretch
        digest = hashlib.sha256()
        while length and (chunk := os.pread(self._file.fileno(), min(length, 1 << 20), start)):
            digest.update(chunk)
            start, length = start + len(chunk), length - len(chunk)
        return digest.hexdigest()


def _is_locked(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
