"""A sandbox's log by time: how much lies in a stretch, and what.

The log is a file of records that only grows. Every so many bytes a landmark is remembered (where, when, which
bytes of a character were left over, how much follows), so that a look at its end does not read it from the
start.
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
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from trebuchet.emulator.process.host import ProcessHost
    from trebuchet.emulator.process.log import LogRecord, RecordHead

STRIDE = 1 << 19
"""Bytes of log between landmarks, and the most that is read at a time."""
MOST_TEXT = 32 << 20
"""Characters of one answer: a number of entries alone would let it be a gigabyte."""
VIEWS_KEPT = 200
HEADS_AT_ONCE = 2_000

BYTES_AN_ENTRY = 200
"""How much output counts as one entry. Whoever asks bounds an answer by its number of entries, and thinks of
lines; a record here may hold 64 KiB."""

_LONGEST_PENDING = 3
"""Bytes of a character that is only half there."""


class LogEntry(NamedTuple):
    """A piece of output as text, cut anywhere but within a character."""

    timestamp_ns: int
    stream: int
    text: str


class TextCutter:
    """Decodes records of several streams, holding back the bytes of a character that is only half there.

    What is no UTF-8 becomes U+FFFD: the SDK's readers take text alone.
    """

    def __init__(self, pending: Mapping[int, bytes] | None = None) -> None:
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

    def pass_over(self, record: LogRecord) -> None:
        """Take a record that nobody wants, for the sake of the character it may begin."""
        self.cut(record._replace(data=record.data[-_LONGEST_PENDING:]))

    @property
    def pending(self) -> dict[int, bytes]:
        """The bytes held back, by stream."""
        states = ((stream, decoder.getstate()[0]) for stream, decoder in self._decoders.items())
        return {stream: held for stream, held in states if held}

    def rest(self) -> str:
        """What is left at the end, all streams together: U+FFFD for each unfinished character."""
        return "".join(decoder.decode(b"", final=True) for decoder in self._decoders.values())


@dataclass(frozen=True)
class Landmark:
    """A place in the log.

    Attributes:
        timestamp_ns: Of the first record after it.
        offset: Where that record begins.
        pending: Bytes of unfinished characters before it, by stream.
        weights: How many entries follow until the next landmark, by stream.
    """

    timestamp_ns: int
    offset: int
    pending: Mapping[int, bytes]
    weights: Counter[int] = field(default_factory=Counter[int])


class LogView:
    """What one process printed, by time."""

    def __init__(self, host: ProcessHost, folder: Path) -> None:
        self._host = host
        self._folder = folder
        self._landmarks: list[Landmark] = []
        self._frontier = 0
        self._last_ns = 0
        self._endings: dict[int, list[RecordHead]] = {STDOUT: [], STDERR: []}
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
        """The last entries of a stretch of time, oldest first; no more than so many, nor than `MOST_TEXT`.

        Who has counted first asks for far less at a time.
        """
        found: list[list[LogEntry]] = []
        count = size = 0
        for block in reversed(await self._blocks(since_ns, until_ns)):
            found.append(list(self._of_block(block, since_ns, until_ns, stream, search)))
            count += len(found[-1])
            size += sum(len(entry.text) for entry in found[-1])
            if count >= most or size >= MOST_TEXT:
                break
            await asyncio.sleep(0)
        entries = [entry for of_block in reversed(found) for entry in of_block]
        return entries[-most:] if most else []

    async def count(
        self, since_ns: int, until_ns: int, stream: int | None, search: str, bucket_ns: int
    ) -> dict[int, Counter[int]]:
        """How many entries of each stream lie in each bucket of a stretch of time, by the bucket's start.

        A long record counts as several.
        """
        buckets: dict[int, Counter[int]] = {}
        if search:
            for entry in await self.entries(since_ns, until_ns, stream, search):
                start = entry.timestamp_ns // bucket_ns * bucket_ns
                buckets.setdefault(start, Counter())[entry.stream] += _weight(len(entry.text))
            return buckets
        for landmark, end, end_ns in await self._blocks(since_ns, until_ns):
            start = landmark.timestamp_ns // bucket_ns * bucket_ns
            if since_ns <= landmark.timestamp_ns and end_ns < min(until_ns, start + bucket_ns):
                buckets.setdefault(start, Counter()).update(landmark.weights)
            else:
                self._count_heads(buckets, landmark.offset, end, (since_ns, until_ns, bucket_ns))
            await asyncio.sleep(0)
        if stream is not None:
            return {start: Counter({stream: found[stream]}) for start, found in buckets.items()}
        return buckets

    def _count_heads(
        self, buckets: dict[int, Counter[int]], offset: int, end: int, times: tuple[int, int, int]
    ) -> None:
        since_ns, until_ns, bucket_ns = times
        while offset < end:
            heads, offset = self._host.read_log_heads(self._folder, offset, HEADS_AT_ONCE, end)
            if not heads:
                return  # The log was removed meanwhile.
            for head in heads:
                if since_ns <= head.timestamp_ns < until_ns:
                    start = head.timestamp_ns // bucket_ns * bucket_ns
                    buckets.setdefault(start, Counter())[head.stream] += _weight(head.length)

    async def _blocks(self, since_ns: int, until_ns: int) -> list[tuple[Landmark, int, int]]:
        """The blocks that may hold records of a stretch: each one's landmark, its end, its last time."""
        async with self._surveying:
            await self._survey()
        marks = self._landmarks
        first = max(bisect.bisect_right(marks, since_ns, key=_time_of) - 1, 0)
        last = bisect.bisect_left(marks, until_ns, key=_time_of)
        following = [*marks[first + 1 : last + 1], Landmark(self._last_ns + 1, self._frontier, {})]
        return [
            (mark, after.offset, after.timestamp_ns - 1)
            for mark, after in zip(marks[first:last], following, strict=False)
        ]

    async def _survey(self) -> None:
        """Go over the heads of what was printed since the last look."""
        while True:
            heads, self._frontier = self._host.read_log_heads(self._folder, self._frontier, HEADS_AT_ONCE)
            if not heads:
                return
            for head in heads:
                if not self._landmarks or head.offset - self._landmarks[-1].offset >= STRIDE:
                    pending = self._pending()
                    self._landmarks.append(Landmark(head.timestamp_ns, head.offset, pending))
                self._landmarks[-1].weights[head.stream] += _weight(head.length)
                if head.stream in self._endings:
                    endings = self._endings[head.stream]
                    endings.append(head)
                    if head.length >= _LONGEST_PENDING or len(endings) > _LONGEST_PENDING:
                        del endings[: -1 if head.length >= _LONGEST_PENDING else -_LONGEST_PENDING]
            self._last_ns = heads[-1].timestamp_ns
            await asyncio.sleep(0)

    def _pending(self) -> dict[int, bytes]:
        """The bytes of unfinished characters at the frontier, by stream: at most three end a record."""
        found: dict[int, bytes] = {}
        for stream, endings in self._endings.items():
            ends = b"".join(self._host.read_log_end(self._folder, head, _LONGEST_PENDING) for head in endings)
            decoder = codecs.getincrementaldecoder("utf-8")("replace")
            decoder.decode(ends)
            if held := decoder.getstate()[0]:
                found[stream] = held
        return found

    def _of_block(
        self, block: tuple[Landmark, int, int], since_ns: int, until_ns: int, stream: int | None, search: str
    ) -> Iterator[LogEntry]:
        landmark, end, _ = block
        cutter, offset = TextCutter(landmark.pending), landmark.offset
        while offset < end:
            records, offset = self._host.read_log(self._folder, offset, end - offset)
            if not records:
                return  # The log was removed meanwhile.
            for record in records:
                if record.timestamp_ns >= until_ns:
                    return
                if record.timestamp_ns < since_ns:
                    cutter.pass_over(record)
                    continue
                entry = cutter.cut(record)
                if entry.text and stream in {None, entry.stream} and search in entry.text:
                    yield entry


def _weight(length: int) -> int:
    return 1 + length // BYTES_AN_ENTRY


def _time_of(landmark: Landmark) -> int:
    return landmark.timestamp_ns


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
