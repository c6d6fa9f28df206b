"""Bringing files here, several at a time, and a large one in several parts at a time."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, TypeVar, cast

from trebuchet.client.draft import Draft
from trebuchet.engines.base import STRETCH_BYTES, Stretch
from trebuchet.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from trebuchet.client.outputs import OutputFile
    from trebuchet.engines.base import Engine

    Step = Callable[[], Iterable["Step"]]

_Read = TypeVar("_Read")
_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class PullProgress:
    """How far a transfer got.

    Attributes:
        files: How many there are, and how many are here.
        size: How many bytes there are, and how many are here.
    """

    files: tuple[int, int]
    size: tuple[int, int]


class Pull:
    """One transfer.

    Args:
        engine: Has the files.
        volume: In this one.
        place: Where a file lies in it, by its path among the outputs.
        on_progress: Called as bytes arrive, from several threads.
    """

    def __init__(
        self,
        engine: Engine,
        volume: str,
        place: Callable[[str], str],
        on_progress: Callable[[PullProgress], None] | None,
    ) -> None:
        self._engine = engine
        self._volume = volume
        self._place = place
        self._tell = on_progress
        self._stopped = threading.Event()
        self._drafts = list[Draft]()

    def bring(self, pairs: Sequence[tuple[OutputFile, Path]]) -> None:
        """Bring each file to its target.

        Raises:
            TrebuchetError: One of them could not be read.
            OSError: One of them could not be written.
        """
        progress = _Progress(pairs, self._tell)
        with ExitStack() as at_the_end, ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="pull") as pool:
            at_the_end.callback(self._let_go)
            try:
                _work(pool, (partial(self._begin, file, target, progress) for file, target in pairs))
            except BaseException:
                self._stopped.set()  # What is on its way is not waited for.
                raise

    def _let_go(self) -> None:
        """Close what a failure left open, so that the next transfer can go on with it."""
        for draft in self._drafts:
            draft.close()

    def _begin(self, file: OutputFile, target: Path, progress: _Progress) -> Iterable[Step]:
        if _is_here(file, target):
            progress.bytes(file.size)
            progress.file()
            return ()
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = Draft(target, size=file.size, modified_at=file.modified_at, stopped=self._stopped)
        if _is_here(file, target):  # Another transfer had the draft, and finished it.
            draft.discard()
            progress.bytes(file.size)
            progress.file()
        elif file.size <= STRETCH_BYTES:
            self._bring_small(file, draft, progress)
        else:
            return self._parts(file, draft, progress)
        return ()

    def _bring_small(self, file: OutputFile, draft: Draft, progress: _Progress) -> None:
        try:
            draft.missing(lambda _: None)
            place = self._place(file.path)
            size = self._fill(
                draft,
                lambda sink: self._engine.read_file(self._volume, place, sink, on_bytes=progress.bytes),
            )
            draft.resize(size)  # It may have grown, or shrunk, since it was listed.
            draft.finish()
            draft.close()
        except BaseException:
            draft.discard()
            raise
        progress.file()

    def _parts(self, file: OutputFile, draft: Draft, progress: _Progress) -> Iterable[Step]:
        self._drafts.append(draft)
        missing = draft.missing(progress.bytes)
        left = _Countdown(len(missing), partial(self._finish, file, draft, progress))
        if not missing:
            left.now()
        return [partial(self._bring_part, file, draft, progress, left, one) for one in missing]

    def _bring_part(
        self, file: OutputFile, draft: Draft, progress: _Progress, left: _Countdown, part: Stretch
    ) -> Iterable[Step]:
        place = self._place(file.path)
        self._fill(
            draft,
            lambda sink: self._engine.read_stretch(self._volume, place, sink, part, on_bytes=progress.bytes),
        )
        draft.came(part)
        left.one()
        return ()

    def _fill(self, draft: Draft, read: Callable[[BinaryIO], _Read]) -> _Read:
        sink = draft.sink()
        try:
            return read(cast("BinaryIO", sink))
        except Exception:
            if sink.failure is not None:
                raise sink.failure from None  # A full disk, say, which is no fault of the connection.
            raise
        finally:
            sink.close()

    def _finish(self, file: OutputFile, draft: Draft, progress: _Progress) -> None:
        """Give a large file its name, unless it was written to while it was brought."""
        [now] = self._engine.list_files(self._volume, self._place(file.path))
        if (now.size, now.modified_at) != (file.size, file.modified_at):
            draft.discard()
            raise NotFoundError(
                f"{file.path} was changed while it was brought.", hint="The job writes to it. Try again."
            )
        draft.finish()
        draft.close()
        progress.file()


def _work(pool: ThreadPoolExecutor, steps: Iterable[Step]) -> None:
    """Take steps, and those that follow from them first, a few at a time."""
    coming = iter(steps)
    following = deque["Step"]()
    running = set[Future[list["Step"]]]()
    while True:
        while len(running) < 2 * _AT_ONCE:
            step = following.popleft() if following else next(coming, None)
            if step is None:
                break
            running.add(pool.submit(_take, step))
        if not running:
            return
        done, running = wait(running, return_when=FIRST_COMPLETED)
        for one in done:
            following.extend(one.result())


def _take(step: Step) -> list[Step]:
    return list(step())


class _Countdown:
    """Does something when the last of several threads has done its part."""

    def __init__(self, count: int, then: Callable[[], None]) -> None:
        self._count = count
        self._then = then
        self._lock = threading.Lock()

    def one(self) -> None:
        with self._lock:
            self._count -= 1
            last = not self._count
        if last:
            self._then()

    def now(self) -> None:
        self._then()


class _Progress:
    """Adds up what several threads bring."""

    def __init__(
        self, pairs: Sequence[tuple[OutputFile, Path]], tell: Callable[[PullProgress], None] | None
    ) -> None:
        self._all = (len(pairs), sum(file.size for file, _ in pairs))
        self._files = self._bytes = 0
        self._tell = tell
        self._lock = threading.Lock()

    def bytes(self, count: int) -> None:
        with self._lock:
            self._bytes += count
            self._say()

    def file(self) -> None:
        with self._lock:
            self._files += 1
            self._say()

    def _say(self) -> None:
        if self._tell is not None:
            self._tell(PullProgress((self._all[0], self._files), (self._all[1], self._bytes)))


def _is_here(file: OutputFile, target: Path) -> bool:
    try:
        known = target.stat()
    except FileNotFoundError:
        return False
    return known.st_size == file.size and int(known.st_mtime) == file.modified_at
