"""One attempt's log, as it was written: first what the archive has, then what the control plane has."""

from __future__ import annotations

from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from trebuchet.errors import JobNotFoundError
from trebuchet.logs.archive import DamagedArchiveError
from trebuchet.logs.copy import Copy
from trebuchet.logs.counter import Counter, is_past
from trebuchet.telling import silent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from trebuchet.engines.base import Engine
    from trebuchet.logs.archive import Archive
    from trebuchet.status import LogEntry, LogPosition


_TAILS = (200, 2_000, 20_000)
"""How many entries the control plane is asked for, in turn, until they hold enough lines."""


class Raw(NamedTuple):
    """An entry, markers included, and the position after it."""

    entry: LogEntry
    position: LogPosition


def _for_nobody() -> None:
    """Nobody wants to know."""


@dataclass(frozen=True, kw_only=True)
class AttemptLog:
    """The log of one sandbox.

    Attributes:
        number: The attempt's, counted from 1.
        engine: The control plane that has it.
        sandbox_id: None where there never was one.
        archive: Where it is kept; a follower that reads it from where the archive ends writes it there.
        oldest: Nothing in it is older; None where that is not known.
        ended: Whether the sandbox is known to have ended.
        old: Whether it ended so long ago that the control plane may have let go of its log.
        tell: Is told what the reader of the log should know.
        archived: Called when all of it is in the archive.
    """

    number: int
    engine: Engine
    sandbox_id: str | None
    archive: Archive
    oldest: datetime | None = None
    ended: bool = False
    old: bool = False
    tell: Callable[[str], None] = field(default=silent)
    archived: Callable[[], None] = field(default=_for_nobody)

    def read(
        self, *, follow: bool, after: LogPosition | None = None, since: datetime | None = None
    ) -> Iterator[Raw]:
        """Entries, oldest first; with `follow` until the sandbox has ended and all of them were given.

        Raises:
            ClusterUnreachableError: The connection broke and stayed away; this is not the end.
            JobNotFoundError: The control plane does not know the sandbox, and the archive has nothing.
        """
        self._tell_of_age()
        yield from self._read(follow=follow, after=after, since=since)

    def _read(
        self, *, follow: bool, after: LogPosition | None = None, since: datetime | None = None
    ) -> Iterator[Raw]:
        held = self.archive.survey()
        position = after
        if held.position is not None and is_past(held.position, after):
            for raw in self._read_archive(after):
                yield raw
                position = raw.position
        if not held.complete and self.sandbox_id is not None:
            yield from self._read_rest(self.sandbox_id, Counter(position), follow=follow, since=since)

    def _read_archive(self, after: LogPosition | None) -> Iterator[Raw]:
        """What the archive has; where it is damaged, what the control plane still has in its stead."""
        counter, damage = Counter(after), None
        while True:
            try:
                for entry in self.archive.read(counter.position):
                    yield Raw(entry, counter.count(entry))
            except DamagedArchiveError as error:
                damage = error
            else:
                return
            self.tell(f"attempt {self.number}: {damage} Some of what it had may be missing here")
            yield from self._read_instead(counter, damage.until)
            counter = Counter(damage.until)

    def _read_instead(self, counter: Counter, until: LogPosition) -> Iterator[Raw]:
        if self.sandbox_id is None:
            return
        with suppress(JobNotFoundError):
            entries = self.engine.logs(self.sandbox_id, since=self.oldest, after=counter.position)
            for entry in entries:
                position = counter.count(entry)
                if is_past(position, until):
                    return
                yield Raw(entry, position)

    def keep(self, *, until: datetime) -> bool:
        """Write down what the archive does not have yet; whether it then has all that is to be had.

        Args:
            until: Where it has not ended: only what is older, since an older entry may still arrive.

        Raises:
            ClusterUnreachableError: The connection broke and stayed away; what came before is written.
            JobNotFoundError: The control plane does not know the sandbox: there is nothing more to be had.
            OSError: It cannot be written.
        """
        writer = self.archive.writer()
        if writer is None:
            return self.archive.survey().complete  # A follower writes it, or has.
        with closing(writer):
            if self.sandbox_id is None:
                return True
            entries = self.engine.logs(
                self.sandbox_id, follow=self.ended, since=self.oldest, after=writer.position
            )
            for entry in entries:
                if not self.ended and entry.timestamp >= until:
                    break
                writer.append(entry)
            if self.ended:
                writer.complete()
        return self.ended

    def read_tail(self, lines: int) -> list[Raw]:
        """The end of what there is now: at least so many lines, or all of it."""
        self._tell_of_age()
        if self.archive.survey().complete or self.sandbox_id is None:
            try:
                return _numbered(_enough(self.archive.read_end(), lines))
            except DamagedArchiveError:
                return list(self._read(follow=False))
        for most in _TAILS:
            entries = list(self.engine.logs(self.sandbox_id, tail=most))
            if len(entries) < most:
                break  # That is all, unless it is too old for the question.
            if _line_ends(entries) > lines and entries[0].timestamp != entries[-1].timestamp:
                return _numbered(entries)
        return list(self._read(follow=False))

    def _tell_of_age(self) -> None:
        """Say where the log of an attempt comes from that ended long ago."""
        if not self.old:
            return
        if self.archive.survey().complete:
            self.tell(f"attempt {self.number}: from the archive; a control plane keeps logs for a while only")
        else:
            self.tell(
                f"attempt {self.number}: not archived to its end, and a control plane keeps logs for a while "
                "only: some of it may be gone"
            )

    def _read_rest(
        self, sandbox_id: str, counter: Counter, *, follow: bool, since: datetime | None
    ) -> Iterator[Raw]:
        after = counter.position
        # Only from the place where the archive ends on can it be continued.
        from_its_end = follow and (since is None or after is not None)
        begin = self.oldest if from_its_end else since or self.oldest
        try:
            entries = self.engine.logs(sandbox_id, follow=follow, since=begin, after=after)
        except JobNotFoundError:
            if after is None:
                raise
            self.tell(f"attempt {self.number}: from the archive, which may lack its end")
            return
        if not from_its_end:
            for entry in entries:
                yield Raw(entry, counter.count(entry))
            return
        yield from self._archived(entries, counter)

    def _archived(self, entries: Iterator[LogEntry], counter: Counter) -> Iterator[Raw]:
        """Pass entries on, and write them down where nobody else does."""
        with Copy.of(self.archive, counter.position, tell=self.tell) as copy:
            for entry in entries:
                copy.append(entry)
                yield Raw(entry, counter.count(entry))
            if copy.complete():
                self.archived()


def _enough(blocks: Iterable[list[LogEntry]], lines: int) -> list[LogEntry]:
    """The last blocks, in order, as many as hold more than so many lines."""
    found: list[list[LogEntry]] = []
    ends = 0
    for block in blocks:
        found.append(block)
        ends += _line_ends(block)
        if ends > lines:
            break
    return [entry for block in reversed(found) for entry in block]


def _line_ends(entries: Iterable[LogEntry]) -> int:
    return sum(entry.message.count("\n") for entry in entries)


def _numbered(entries: Iterable[LogEntry]) -> list[Raw]:
    counter = Counter()
    return [Raw(entry, counter.count(entry)) for entry in entries]
