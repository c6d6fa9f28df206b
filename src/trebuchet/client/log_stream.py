"""A job's output as a text stream."""

from __future__ import annotations

import io
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

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
        self._pieces: list[str] = []
        self._ended = False
        self._awaited: AsyncIterator[str] | None = None

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> str:
        """Up to `size` characters, fewer only at the end; all of them where it is None or negative."""
        self._check_open()
        wanted = None if size is None or size < 0 else size
        have = sum(map(len, self._pieces))
        while (wanted is None or have < wanted) and (piece := self._next_piece()) is not None:
            self._pieces.append(piece)
            have += len(piece)
        text = "".join(self._pieces)
        end = len(text) if wanted is None else wanted
        self._pieces = [text[end:]] if text[end:] else []
        return text[:end]

    def readline(self, size: int | None = -1, /) -> str:  # pyright: ignore[reportIncompatibleMethodOverride] - None is read() 's word for "all"
        """The next line with its newline; the last may have none; empty at the end."""
        self._check_open()
        limit = None if size is None or size < 0 else size
        taken, length = list[str](), 0
        while limit is None or length < limit:
            piece = self._pieces.pop(0) if self._pieces else self._next_piece()
            if piece is None:
                break
            end = piece.find("\n") + 1 or len(piece)
            if limit is not None:
                end = min(end, limit - length)
            taken.append(piece[:end])
            length += end
            if piece[end:]:
                self._pieces.insert(0, piece[end:])
            if taken[-1].endswith("\n"):
                break
        return "".join(taken)

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
            self._pieces.clear()
        super().close()

    def _next_piece(self) -> str | None:
        while not self._ended:
            entry = next(self._entries, None)
            if entry is None:
                self._ended = True
            elif entry.message and entry.source != "system":
                return entry.message
        return None

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("The stream is closed.")
