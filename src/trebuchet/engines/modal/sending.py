"""How far the SDK has got with sending files, overheard where it offers no word of it."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from typing import TYPE_CHECKING, Any

import modal.mount
from modal.output import OutputManager

from trebuchet.engines.modal import packs
from trebuchet.uploads import Sent

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

_TOLD_EVERY_S = 0.1
_FINISHED = re.compile(r"Uploaded (\d+)/\d+ missing files")
_COUNT, _SEND_BLOB = "get_file_upload_spec_from_path", "blob_upload_file"

# What is overheard belongs to the whole process: one upload at a time is told of.
_ONE_AT_A_TIME = threading.Lock()


@contextlib.contextmanager
def overheard(whole: Sent, on_sent: Callable[[Sent], None] | None) -> Generator[None]:
    """Tell how far sending gets while the block runs; silently nothing where the SDK is built otherwise.

    Args:
        whole: What there is to send; small files count with the archives that they travel in.
        on_sent: Is told what has been looked at and, where it was missing, sent.
    """
    originals = {name: getattr(modal.mount, name, None) for name in (_COUNT, _SEND_BLOB)}
    install = getattr(OutputManager, "_set", None)
    if on_sent is None or install is None or None in originals.values() or not _ONE_AT_A_TIME.acquire(False):
        yield
        return
    manager = OutputManager.get()
    tally = _Tally(whole, on_sent, originals)
    try:
        setattr(modal.mount, _COUNT, tally.count)
        setattr(modal.mount, _SEND_BLOB, tally.send_blob)
        install(_Listener(manager, tally.hear))
        yield
    finally:
        install(manager)
        for name, original in originals.items():
            setattr(modal.mount, name, original)
        _ONE_AT_A_TIME.release()
    tally.done()


class _Tally:
    """Adds up what the SDK does with each file."""

    def __init__(self, whole: Sent, on_sent: Callable[[Sent], None], originals: dict[str, Any]) -> None:
        self._whole = whole
        self._on_sent = on_sent
        self._originals = originals
        self._specs: list[Any] = []
        self._finished: dict[int, int] = {}
        self._of_blobs = 0
        self._next = 0.0

    def count(self, *arguments: Any, **options: Any) -> Any:
        """Note what a file is, once the SDK has read it."""
        spec = self._originals[_COUNT](*arguments, **options)
        self._specs.append(spec)
        return spec

    async def send_blob(self, *arguments: Any, **options: Any) -> Any:
        """Send a big file, and hear of its pieces."""

        def advanced(*_: Any, advance: int = 0, **__: Any) -> None:
            self._of_blobs += advance
            self._tell()

        return await self._originals[_SEND_BLOB](*arguments, **{**options, "progress_report_cb": advanced})

    def hear(self, row: int, message: str) -> None:
        """Take a line about one mount."""
        if found := _FINISHED.search(message):
            self._finished[row] = int(found[1])
            self._tell()

    def done(self) -> None:
        """All has been sent."""
        self._finished, self._next = {0: len(self._specs)}, 0.0
        self._tell()

    def _tell(self) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _TOLD_EVERY_S
        # In the order of asking, which is nearly that of finishing: all but the last few dozen are right.
        finished = self._specs[: sum(self._finished.values())]
        missing = [spec for spec in finished if not spec.exists_in_store and not spec.use_blob]
        self._on_sent(
            Sent(
                files=sum(packs.files_in(spec.mount_filename) for spec in finished),
                bytes=sum(spec.size for spec in missing) + self._of_blobs,
                of=self._whole,
            )
        )


class _Listener:
    """Stands before the SDK's output manager and overhears its lines about uploads."""

    def __init__(self, manager: OutputManager, hear: Callable[[int, str], None]) -> None:
        self._manager = manager
        self._hear = hear

    def __getattr__(self, name: str) -> Any:
        return getattr(self._manager, name)

    def add_status_row(self) -> Any:
        return _Row(self._manager.add_status_row(), self._hear)


class _Row:
    def __init__(self, row: Any, hear: Callable[[int, str], None]) -> None:
        self._row = row
        self._hear = hear

    def __getattr__(self, name: str) -> Any:
        return getattr(self._row, name)

    def message(self, message: str) -> None:
        self._hear(id(self), message)
        self._row.message(message)
