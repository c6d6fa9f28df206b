"""What all files of one transfer have in common: where they come from, and what is told of it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, TypeVar, cast

from trebuchet.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from trebuchet.client.outputs import OutputFile
    from trebuchet.client.sinks import Sink
    from trebuchet.engines.base import Engine, Stretch, VolumeFile

_Read = TypeVar("_Read")


@dataclass(frozen=True, slots=True)
class PullProgress:
    """How far a transfer got.

    Attributes:
        files: How many there are, and how many are here.
        size: How many bytes there are, and how many are here.
    """

    files: tuple[int, int]
    size: tuple[int, int]


class Progress:
    """Adds up what several threads bring."""

    def __init__(
        self, pairs: Sequence[tuple[OutputFile, Path]], tell: Callable[[PullProgress], None] | None
    ) -> None:
        self._all_files = len(pairs)
        self._all_bytes = sum(file.size for file, _ in pairs)
        self._files = self._bytes = 0
        self._tell = tell
        self._lock = threading.Lock()

    def bytes(self, count: int) -> None:
        """So many more are here; fewer, where some have to come again."""
        with self._lock:
            self._bytes += count
            self._say()

    def file(self) -> None:
        """One more is here, whole."""
        with self._lock:
            self._files += 1
            self._say()

    def gone(self, size: int) -> None:
        """One of this size will not come."""
        with self._lock:
            self._all_files -= 1
            self._all_bytes -= size
            self._say()

    def _say(self) -> None:
        if self._tell is not None:
            files, size = (self._all_files, self._files), (self._all_bytes, self._bytes)
            self._tell(PullProgress(files, size))


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """One transfer.

    Attributes:
        engine: Has the files.
        volume: In this one.
        place: Where a file lies in it, by its path among the outputs.
        progress: How far it got.
        tell: Is told what somebody should know about a file.
        of_folder: Whether a folder is brought: then a file of it that is gone is no failure.
        stopped: Set when it was given up.
    """

    engine: Engine
    volume: str
    place: Callable[[str], str]
    progress: Progress
    tell: Callable[[str], None]
    of_folder: bool
    stopped: threading.Event = field(default_factory=threading.Event)

    def read(self, path: str, sink: Sink) -> int:
        """Bring a whole file; how many bytes it has.

        Raises:
            NotFoundError: It is gone.
        """
        place, progress = self.place(path), self.progress.bytes
        return _guarded(sink, lambda file: self.engine.read_file(self.volume, place, file, on_bytes=progress))

    def read_stretch(self, path: str, sink: Sink, part: Stretch, *, counted: bool = True) -> None:
        """Bring a part of a file.

        Raises:
            NotFoundError: It is gone, or too short.
        """
        place, progress = self.place(path), self.progress.bytes if counted else None
        _guarded(
            sink, lambda file: self.engine.read_stretch(self.volume, place, file, part, on_bytes=progress)
        )

    def now(self, path: str) -> VolumeFile | None:
        """What the file is at present; None where it is gone."""
        try:
            found = self.engine.list_files(self.volume, self.place(path))
        except NotFoundError:
            return None
        return found[0] if len(found) == 1 and found[0].kind == "file" else None

    def is_another(self, file: OutputFile) -> bool:
        """Whether it is no more what was listed; what a failure to read it may come of."""
        now = self.now(file.path)
        return now is None or (now.size, now.modified_at) != (file.size, file.modified_at)

    def lost(self, file: OutputFile) -> None:
        """Take note that a file was removed while it was brought.

        Raises:
            NotFoundError: It was asked for by name.
        """
        if not self.of_folder:
            raise NotFoundError(f"{file.path} was removed while it was brought.")
        self.tell(f"{file.path} was removed by the job while its outputs were brought")
        self.progress.gone(file.size)


def _guarded(sink: Sink, read: Callable[[BinaryIO], _Read]) -> _Read:
    """Read into a sink, and close it."""
    try:
        return read(cast("BinaryIO", sink))
    except Exception:
        if sink.failure is not None:
            raise sink.failure from None  # A full disk, say, which is no fault of the connection.
        raise
    finally:
        sink.close()
