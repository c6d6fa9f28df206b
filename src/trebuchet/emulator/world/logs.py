"""A sandbox's log by time: how many entries lie in a stretch, and which.

The log is a file of records that only grows. Every so many bytes a landmark is remembered (where, when, which bytes of
a character were left over), so that a look at its end does not read it from the start.
"""

from __future__ import annotations

import asyncio
import bisect
import codecs
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from trebuchet.emulator.process.log import STDERR, STDOUT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trebuchet.emulator.process.host import ProcessHost
    from trebuchet.emulator.process.log import LogRecord

STRIDE = 1 << 18
"""Bytes of log between landmarks, and the most that is read at a time."""
VIEWS_KEPT = 200


class LogEntry(NamedTuple):
    """A piece of output as text, cut anywhere but within a character."""

    timestamp_ns: int
    stream: int
    text: str


class TextCutter:
    """Decodes records of several streams, holding back the bytes of a character that is only half there.

    What is no UTF-8 becomes U+FFFD: the SDK's readers take text alone.
    """

    def __init__(self, pending: dict[int, bytes] | None = None) -> None:
        self._decoders = {
            stream: codecs.getincrementaldecoder("utf-8")("replace") for stream in (STDOUT, STDERR)
        }
        for stream, held in (pending or {}).items():
            self._decoders[stream].decode(held)

    def cut(self, record: LogRecord) -> LogEntry:
        """The text that a record completes; it may be empty."""
        decoder = self._decoders.get(record.stream)
        text = record.data.decode("utf-8", "replace") if decoder is None else decoder.decode(record.data)
        return LogEntry(record.timestamp_ns, record.stream, text)

    @property
    def pending(self) -> dict[int, bytes]:
        """The bytes held back, by stream."""
        states = ((stream, decoder.getstate()[0]) for stream, decoder in self._decoders.items())
        return {stream: held for stream, held in states if held}

    def rest(self) -> str:
        """What is left at the end, all streams together: U+FFFD for each character that was never completed."""
        return "".join(decoder.decode(b"", final=True) for decoder in self._decoders.values())


@dataclass(frozen=True)
class Landmark:
    """A place in the log.

    Attributes:
        timestamp_ns: Of the first record after it.
        offset: Where that record begins.
        pending: Bytes of unfinished characters before it, by stream.
    """

    timestamp_ns: int
    offset: int
    pending: dict[int, bytes] = field(default_factory=dict[int, bytes])


class LogView:
    """What one process printed, by time."""

    def __init__(self, host: ProcessHost, folder: Path) -> None:
        self._host = host
        self._folder = folder
        self._landmarks: list[Landmark] = []
        self._frontier = 0
        self._cutter = TextCutter()
        self._surveying = asyncio.Lock()

    async def entries(self, since_ns: int, until_ns: int, stream: int | None, search: str) -> list[LogEntry]:
        """Entries of a stretch of time, its end excluded, oldest first."""
        found: list[LogEntry] = []
        for block in await self._blocks(since_ns, until_ns):
            found.extend(self._of_block(block, since_ns, until_ns, stream, search))
            await asyncio.sleep(0)
        return found

    async def latest(
        self, since_ns: int, until_ns: int, stream: int | None, search: str, most: int
    ) -> list[LogEntry]:
        """The last entries of a stretch of time, oldest first; at most so many."""
        found: list[LogEntry] = []
        for block in reversed(await self._blocks(since_ns, until_ns)):
            found[:0] = self._of_block(block, since_ns, until_ns, stream, search)
            if len(found) >= most:
                break
            await asyncio.sleep(0)
        return found[-most:] if most else []

    async def count(
        self, since_ns: int, until_ns: int, stream: int | None, search: str, bucket_ns: int
    ) -> dict[int, Counter[int]]:
        """How many entries of each stream lie in each bucket of a stretch of time, by the bucket's start."""
        buckets: dict[int, Counter[int]] = {}
        for entry in await self.entries(since_ns, until_ns, stream, search):
            start = entry.timestamp_ns // bucket_ns * bucket_ns
            buckets.setdefault(start, Counter())[entry.stream] += 1
        return buckets

    async def _blocks(self, since_ns: int, until_ns: int) -> list[tuple[Landmark, int]]:
        """The blocks that may hold records of a stretch of time: each one's landmark, and where it ends."""
        async with self._surveying:
            await self._survey()
        times = [landmark.timestamp_ns for landmark in self._landmarks]
        first = max(bisect.bisect_right(times, since_ns) - 1, 0)
        last = bisect.bisect_left(times, until_ns)
        ends = [*(landmark.offset for landmark in self._landmarks[1:]), self._frontier]
        return list(zip(self._landmarks[first:last], ends[first:last], strict=True))

    async def _survey(self) -> None:
        """Go over what was printed since the last look."""
        while True:
            records, offset = self._host.read_log(self._folder, self._frontier, STRIDE)
            if not records:
                return
            if not self._landmarks or self._frontier - self._landmarks[-1].offset >= STRIDE:
                self._landmarks.append(
                    Landmark(records[0].timestamp_ns, self._frontier, self._cutter.pending)
                )
            for record in records:
                self._cutter.cut(record)
            self._frontier = offset
            await asyncio.sleep(0)

    def _of_block(
        self, block: tuple[Landmark, int], since_ns: int, until_ns: int, stream: int | None, search: str
    ) -> Iterator[LogEntry]:
        landmark, end = block
        cutter, offset = TextCutter(landmark.pending), landmark.offset
        while offset < end:
            records, offset = self._host.read_log(self._folder, offset, end - offset)
            for record in records:
                entry = cutter.cut(record)
                if (
                    since_ns <= entry.timestamp_ns < until_ns
                    and entry.text
                    and stream in {None, entry.stream}
                    and search in entry.text
                ):
                    yield entry


class LogViews:
    """The views of the logs that were asked for lately."""

    def __init__(self, host: ProcessHost) -> None:
        self._host = host
        self._views: dict[Path, LogView] = {}

    def of(self, folder: Path) -> LogView:
        """The view of one process's log."""
        view = self._views.pop(folder, None) or LogView(self._host, folder)
        self._views[folder] = view
        while len(self._views) > VIEWS_KEPT:
            del self._views[next(iter(self._views))]
        return view
