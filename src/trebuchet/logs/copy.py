"""What a follower writes down beside reading: a full disk must not cost it the log on its screen."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from types import TracebackType
    from typing import Self

    from trebuchet.logs.archive import Archive, ArchiveWriter
    from trebuchet.status import LogEntry, LogPosition


class Copy:
    """The entries that a follower reads, on their way into the archive; nowhere, where it may not write.

    Args:
        writer: The right to append; None where another process has it.
        tell: Is told why nothing is written any more.
    """

    def __init__(self, writer: ArchiveWriter | None, *, tell: Callable[[str], None]) -> None:
        self._writer = writer
        self._tell = tell

    @classmethod
    def of(cls, archive: Archive, position: LogPosition | None, *, tell: Callable[[str], None]) -> Self:
        """A copy that goes on where the archive ends, provided a reader stands just there."""
        copy = cls(None, tell=tell)
        with copy._giving_up():
            copy._writer = archive.writer()
        if copy._writer is not None and copy._writer.position != position:
            copy._drop()
        return copy

    def append(self, entry: LogEntry) -> None:
        """Take the entry that follows the last one."""
        with self._giving_up():
            if self._writer is not None:
                self._writer.append(entry)

    def complete(self) -> bool:
        """Say that the log has no more entries; whether all of them are in the archive now."""
        with self._giving_up():
            if self._writer is not None:
                self._writer.complete()
        return self._writer is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._giving_up():
            if self._writer is not None:
                self._writer.close()

    @contextmanager
    def _giving_up(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            self._drop()
            self._tell(f"the log is not archived any further: {error.strerror or error}")

    def _drop(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            with suppress(OSError):
                writer.abandon()
