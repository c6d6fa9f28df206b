"""A job's output as a text stream."""

from __future__ import annotations

import io
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator, Iterable, Iterator

    from trebuchet.status import LogEntry


class ModalLogStream(io.TextIOBase):
    """A job's output, stdout and stderr merged, without the wrapper's own lines.

    Reading blocks while the job runs and says nothing new, and ends when the job has ended. What was read
    is let go of: a stream holds no more than the line it is in the middle of.

    Args:
        entries: From a log, in order.

    Raises:
        ClusterUnreachableError: While reading, if the connection broke and stayed away: that is not the end.
    """

    def __init__(self, entries: Iterable[LogEntry]) -> None:
        super().__init__()
        self._entries: Iterator[LogEntry] = iter(entries)
        self._piece = ""
        self._at = 0
        self._ended = False
        self._awaited: AsyncIterator[str] | None = None

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> str:
        """Up to `size` characters, fewer only at the end; all of them where it is None or negative."""
        self._check_open()
        with self._taking(size) as taken:
            while taken.wants_more and self._has_more():
                taken.add(self._part(len(self._piece), taken))
        return taken.text

    def readline(self, size: int | None = -1, /) -> str:  # pyright: ignore[reportIncompatibleMethodOverride] - None is read() 's word for "all"
        """The next line with its newline; the last may have none; empty at the end."""
        self._check_open()
        with self._taking(size) as taken:
            while taken.wants_more and self._has_more():
                taken.add(self._part(self._piece.find("\n", self._at) + 1 or len(self._piece), taken))
                if self._piece[self._at - 1] == "\n":
                    break
        return taken.text

    def __aiter__(self) -> AsyncIterator[str]:
        """The lines. A thread waits for each, and waiting that is cancelled loses none."""
        if self._awaited is None:
            from trebuchet.client.awaiting import Awaiting  # noqa: PLC0415 - asyncio is heavy

            self._awaited = Awaiting(iter(self.readline, ""))
        return self._awaited

    def close(self) -> None:
        """Stop reading; the job goes on."""
        if not self.closed:
            close = getattr(self._entries, "close", None)
            if close is not None:
                with suppress(ValueError):  # A thread waits in it for a task that was cancelled.
                    close()
            self._piece, self._at = "", 0
        super().close()

    @contextmanager
    def _taking(self, size: int | None) -> Generator[_Taken]:
        """For what is taken; where the next piece fails to come, or a signal interrupts, it is put back."""
        taken = _Taken(None if size is None or size < 0 else size)
        try:
            yield taken
        except BaseException:
            self._piece, self._at = taken.text + self._piece[self._at :], 0
            raise

    def _part(self, end: int, taken: _Taken) -> str:
        """What of the piece at hand lies before an end of it, and is wanted."""
        start, self._at = self._at, end if taken.left is None else min(end, self._at + taken.left)
        return self._piece[start : self._at]

    def _has_more(self) -> bool:
        """Whether a piece is at hand that was not read to its end; waits for one."""
        while self._at == len(self._piece) and not self._ended:
            entry = next(self._entries, None)
            if entry is None:
                self._ended = True
            elif entry.source != "system":
                self._piece, self._at = entry.message, 0
        return self._at < len(self._piece)

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("The stream is closed.")


class _Taken:
    """What one call of a reader takes.

    Args:
        left: How many characters it still wants; None for all of them.
    """

    def __init__(self, left: int | None) -> None:
        self.left = left
        self._parts: list[str] = []

    @property
    def wants_more(self) -> bool:
        return self.left != 0

    @property
    def text(self) -> str:
        return "".join(self._parts)

    def add(self, part: str) -> None:
        self._parts.append(part)
        if self.left is not None:
            self.left -= len(part)
