"""A large file on its way here, in parts, while the job may be writing to it.

Whether what came is what the file was at any one moment is told in the end: by its size and time, or, where
these are others by now, by reading it again. What two readings, the one begun when the other was over, agree
about has stood there in between. So the beginning of a file that grows is brought as it was, and one that is
written anew is not mistaken for a file.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from trebuchet.errors import NotFoundError, TrebuchetError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from trebuchet.client.crew import Step
    from trebuchet.client.draft import Draft
    from trebuchet.client.outputs import OutputFile
    from trebuchet.client.transfer import Transfer
    from trebuchet.engines.base import Stretch, VolumeFile


class InParts:
    """The way of one large file.

    Args:
        transfer: Which it is part of.
        file: As it was listed.
        draft: Where it goes.
        again: Gives the steps that bring the file as it is by now; None where it was tried often enough.
    """

    def __init__(
        self,
        transfer: Transfer,
        file: OutputFile,
        draft: Draft,
        again: Callable[[OutputFile], Iterable[Step]] | None,
    ) -> None:
        self._transfer = transfer
        self._file = file
        self._draft = draft
        self._again = again
        self._brought = 0
        self._changed = False
        self._left = 0
        self._lock = threading.Lock()

    def steps(self) -> Iterable[Step]:
        """What there is to do first."""
        missing = self._draft.missing(self._count)
        return self._each(missing, self._bring, self._settle) if missing else self._settle()

    def _each(
        self,
        parts: Sequence[Stretch],
        do: Callable[[Stretch], None],
        then: Callable[[], Iterable[Step]],
    ) -> Iterable[Step]:
        """Do something with each part; what follows is for the thread that does the last one."""
        self._left = len(parts)

        def step(part: Stretch) -> Iterable[Step]:
            if not self._changed:
                try:
                    do(part)
                except TrebuchetError:  # It may be gone, or shorter than this.
                    if not self._transfer.is_another(self._file):
                        raise
                    self._changed = True
            with self._lock:
                self._left -= 1
                last = not self._left
            return then() if last else ()

        return [partial(step, part) for part in parts]

    def _bring(self, part: Stretch) -> None:
        self._transfer.read_stretch(self._file.path, self._draft.sink(), part)
        self._draft.came(part)
        with self._lock:
            self._brought += part.length

    def _count(self, here: int) -> None:
        self._brought += here
        self._transfer.progress.bytes(here)

    def _settle(self) -> Iterable[Step]:
        """See whether the file is still what it was."""
        now = self._transfer.now(self._file.path)
        if now is None or self._changed or now.size < self._file.size:
            return self._begin_again(now)
        if (now.size, now.modified_at) == (self._file.size, self._file.modified_at):
            return self._finish()
        return self._each(self._draft.stretches(), self._compare, self._settle_again)

    def _compare(self, part: Stretch) -> None:
        sink = self._draft.comparing()
        self._transfer.read_stretch(self._file.path, sink, part, counted=False)
        if sink.differs:
            self._changed = True

    def _settle_again(self) -> Iterable[Step]:
        if self._changed:
            return self._begin_again(self._transfer.now(self._file.path))
        path, size = self._file.path, self._file.size
        self._transfer.tell(f"{path} was written to while it was brought: its first {size:,} bytes are here")
        return self._finish()

    def _finish(self) -> Iterable[Step]:
        self._draft.finish()
        self._draft.close()
        self._transfer.progress.file()
        return ()

    def _begin_again(self, now: VolumeFile | None) -> Iterable[Step]:
        self._draft.discard()
        self._transfer.progress.bytes(-self._brought)
        path = self._file.path
        if now is None:
            self._transfer.lost(self._file)
            return ()
        if self._again is None:
            raise NotFoundError(
                f"{path} was changed each time that it was brought.",
                hint="The job writes to it. Try again when it has ended, or bring other files.",
            )
        self._transfer.tell(f"{path} was changed while it was brought; it is brought once more")
        return self._again(replace(self._file, size=now.size, modified_at=now.modified_at))
