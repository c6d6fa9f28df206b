"""That a ledger was begun anew, and on which clouds what runs is still to be written into it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class RebuildMarker:
    """A file that is there while a ledger was begun anew and what runs is not yet written into it.

    In it stand the clouds that are done, a line each.

    Args:
        path: The file's.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def is_there(self) -> bool:
        return self._path.exists()

    def put(self) -> None:
        """Nothing is written down yet, on no cloud."""
        self._path.touch(mode=0o600)
        self._path.write_bytes(b"")

    def clouds(self) -> set[str]:
        """Those where what runs is written down."""
        with suppress(OSError):
            return set(self._path.read_text(encoding="utf-8").splitlines())
        return set()

    def add(self, cloud: str) -> None:
        """What runs on a cloud is written down."""
        if cloud not in self.clouds() and self.is_there:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(f"{cloud}\n")

    def remove(self) -> None:
        """All that runs is written down."""
        self._path.unlink(missing_ok=True)
