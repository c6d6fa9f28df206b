"""Bringing files here, several at a time, and a large one in several parts at a time."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from trebuchet.client.crew import Crew
from trebuchet.client.draft import Draft
from trebuchet.client.in_parts import InParts
from trebuchet.client.sinks import StoppedError
from trebuchet.client.targets import refuse_what_is_no_file
from trebuchet.engines.base import STRETCH_BYTES
from trebuchet.errors import TrebuchetError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from trebuchet.client.crew import Step
    from trebuchet.client.outputs import OutputFile
    from trebuchet.client.transfer import Transfer

    Again = Callable[[OutputFile], Iterable[Step]]

_AT_ONCE = 8
_TRIES = 3
"""How often a file that the job goes on changing is brought, the first time included."""


class Pull:
    """One transfer.

    Args:
        transfer: Where the files come from.
    """

    def __init__(self, transfer: Transfer) -> None:
        self._transfer = transfer
        self._drafts = list[Draft]()

    def bring(self, pairs: Sequence[tuple[OutputFile, Path]]) -> None:
        """Bring each file to its target.

        Raises:
            TrebuchetError: One of them could not be read.
            OSError: One of them could not be written.
        """
        crew = Crew(_AT_ONCE, give_up=self._transfer.stopped.set)
        try:
            crew.work(partial(self._begin, file, target, _TRIES) for file, target in pairs)
        finally:
            for draft in self._drafts:  # What a failure left open, the next transfer can go on with.
                draft.close()

    def _begin(self, file: OutputFile, target: Path, tries: int) -> Iterable[Step]:
        transfer = self._transfer
        if transfer.stopped.is_set():
            raise StoppedError("The transfer was given up.")
        _need_a_file_or_nothing(target)
        if _is_here(file, target):
            transfer.progress.bytes(file.size)
            transfer.progress.file()
            return ()
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = Draft(target, size=file.size, modified_at=file.modified_at, stopped=transfer.stopped)
        if _is_here(file, target):  # Another transfer had the draft, and finished it.
            draft.discard()
            transfer.progress.bytes(file.size)
            transfer.progress.file()
        else:
            again = partial(self._begin_again, target, tries - 1) if tries > 1 else None
            if file.size <= STRETCH_BYTES:
                return self._bring_small(file, draft, again)
            self._drafts.append(draft)
            return InParts(transfer, file, draft, again).steps()
        return ()

    def _begin_again(self, target: Path, tries: int, file: OutputFile) -> Iterable[Step]:
        return [partial(self._begin, file, target, tries)]

    def _bring_small(self, file: OutputFile, draft: Draft, again: Again | None) -> Iterable[Step]:
        try:
            draft.missing(lambda _: None)
            size = self._transfer.read(file.path, draft.sink())
            draft.resize(size)  # It may have grown, or shrunk, since it was listed.
            draft.finish()
            draft.close()
        except TrebuchetError:
            draft.discard()
            return self._read_in_vain(file, again)
        except BaseException:
            draft.discard()
            raise
        self._transfer.progress.file()
        return ()

    def _read_in_vain(self, file: OutputFile, again: Again | None) -> Iterable[Step]:
        """Leave out a small file that is gone, begin again with one that was changed, or fail."""
        now = self._transfer.now(file.path)
        if now is None:
            self._transfer.lost(file)
            return ()
        if again is None or (now.size, now.modified_at) == (file.size, file.modified_at):
            raise  # noqa: PLE0704 - called where an error is handled
        return again(replace(file, size=now.size, modified_at=now.modified_at))


def _need_a_file_or_nothing(target: Path) -> None:
    """A name is taken by what comes: that of a device, even through a link, is not to be had.

    Raises:
        UsageError: It is another kind of thing.
        OSError: It is a folder.
    """
    refuse_what_is_no_file(target, hint="To print one: trebuchet cat JOB PATH")
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))


def _is_here(file: OutputFile, target: Path) -> bool:
    try:
        known = target.stat()
    except FileNotFoundError:
        return False
    return known.st_size == file.size and int(known.st_mtime) == file.modified_at
