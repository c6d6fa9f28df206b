"""A sandbox's log as a stream of entries.

The SDK answers "what was printed between A and B?"; a sandbox's log cannot be followed in any other way. The
stream asks for one window of time after another, and, once it has come to the present, again and again.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

from modal.exception import ExecutionError, LogsFetchError

from trebuchet.engines.modal.cursor import KEPT_BY_SERVICE, Cursor, Window
from trebuchet.engines.modal.errors import translated
from trebuchet.errors import TrebuchetError
from trebuchet.status import LogEntry, LogPosition, LogSource

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    import modal

    from trebuchet.engines.modal.access import Pace

_Result = TypeVar("_Result")

_ROUNDING = timedelta(microseconds=10)
"""Times lose their nanoseconds on the way here and back; asking from a little earlier makes up for it."""

_WINDOW_BYTES = 8 << 20
_MOST_TAIL = 20_000
_FIRST_DELAY_S = 0.1
_LONGEST_DELAY_S = 5.0


class LogReader:
    """Reads one sandbox's log from one place on."""

    def __init__(
        self,
        look_up: Callable[[], modal.Sandbox],
        pace: Pace,
        *,
        source: LogSource | None,
        since: datetime | None,
        after: LogPosition | None = None,
    ) -> None:
        """Remember what to read; nothing is asked yet.

        Args:
            look_up: Brings a fresh handle of the sandbox, on a connection that is alive.
            pace: How to ask.
            source: Only this stream; None for all.
            since: Where to begin; None for the beginning.
            after: Where an earlier reader stopped.
        """
        self._look_up = look_up
        self._pace = pace
        self._source: LogSource | None = source
        self._logs: Any = None
        self._cursor = Cursor(after)
        oldest = datetime.now(UTC) - KEPT_BY_SERVICE
        if after is not None:
            since = max(since, after.timestamp) if since is not None else after.timestamp
        self._window = Window(oldest, KEPT_BY_SERVICE) if since is None else Window(max(since, oldest))

    def read(self, tail: int | None) -> Iterator[LogEntry]:
        """What there is now; with `tail` only the last entries."""
        if tail is None:
            yield from self._catch_up(hold_back=False)
        else:
            yield from self._persistently(partial(self._tail, tail))

    def follow(self, tail: int | None) -> Iterator[LogEntry]:
        """What there is, and what comes, until the sandbox has ended and nothing new came after that.

        Raises:
            ClusterUnreachableError: The control plane stayed away for too long; it never just ends.
        """
        if tail is not None:
            yield from self._persistently(partial(self._tail, tail))
        ended = False
        while True:
            news = yield from self._catch_up(hold_back=not ended)
            if not news:
                if ended:
                    return
                ended = yield from self._persistently(self._has_ended)
            time.sleep(self._pace.settle_s if ended else self._pace.interval_s)

    def _catch_up(self, *, hold_back: bool) -> Generator[LogEntry, None, bool]:
        """Give what is new up to the present; tells whether anything was.

        With `hold_back`, entries so young that an older one may still arrive wait for the next time.
        """
        before = (self._cursor.last, self._cursor.given)
        self._window.begin()
        while True:
            now = datetime.now(UTC)
            until = self._window.until(now)
            youngest = now - timedelta(seconds=self._pace.settle_s) if hold_back else until
            at_present = yield from self._persistently(partial(self._give, now, youngest))
            if at_present:
                return before != (self._cursor.last, self._cursor.given)

    def _give(self, now: datetime, youngest: datetime) -> Generator[LogEntry, None, bool]:
        """Give what is new in the window; tells whether that brought us to the present."""
        size = 0
        until = self._window.until(now)
        self._cursor.begin()
        stream = self._fetch(until)
        try:
            for raw in stream:
                if raw.timestamp > youngest:
                    return True
                if size > _WINDOW_BYTES:
                    self._window.cut(self._cursor.last)
                    return False
                if self._cursor.accepts(raw.timestamp):
                    size += len(raw.message)
                    yield LogEntry(raw.timestamp, raw.source, raw.message)
        except ExecutionError:
            return True  # it is queued: there is no log yet
        except LogsFetchError:
            if not self._window.shrink():
                raise
            return False
        finally:
            stream.close()
        self._window.passed(now, self._cursor.last, size)
        return until >= now

    def _fetch(self, until: datetime) -> Generator[Any, None, None]:
        logs = self._sdk_logs()
        found = logs.fetch(since=self._window.start - _ROUNDING, until=until, source=self._source)
        return cast("Generator[Any, None, None]", found)

    def _tail(self, entries: int) -> Generator[LogEntry, None, None]:
        self._cursor.begin()
        try:
            for raw in self._sdk_logs().tail(min(entries, _MOST_TAIL), source=self._source):
                if self._cursor.accepts(raw.timestamp):
                    yield LogEntry(raw.timestamp, raw.source, raw.message)
        except ExecutionError:
            return  # it is queued: there is no log yet
        if self._cursor.last is not None:
            self._window = Window(self._cursor.last)

    def _has_ended(self) -> Generator[LogEntry, None, bool]:
        yield from ()
        return self._look_up().returncode is not None

    def _sdk_logs(self) -> Any:
        # One manager for many questions: it looks up the sandbox's task once.
        if self._logs is None:
            self._logs = self._look_up().logs
        return self._logs

    def _persistently(
        self, attempt: Callable[[], Generator[LogEntry, None, _Result]]
    ) -> Generator[LogEntry, None, _Result]:
        """Try again, with growing pauses, while the failure may pass; the cursor keeps entries unique."""
        delay = _FIRST_DELAY_S
        deadline: float | None = None
        while True:
            try:
                with translated():
                    return (yield from attempt())
            except TrebuchetError as error:
                if not error.transient:
                    raise
                deadline = deadline or time.monotonic() + self._pace.patience_s
                if time.monotonic() + delay > deadline:
                    raise
                self._logs = None
                time.sleep(delay)
                delay = min(delay * 2, _LONGEST_DELAY_S)
