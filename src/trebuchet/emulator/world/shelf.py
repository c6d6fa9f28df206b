"""Records of one kind, each a small JSON file under its id."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

from trebuchet.emulator.disk import keep_json, make_private_folder, read_json, set_aside
from trebuchet.emulator.world.errors import NotFoundError
from trebuchet.emulator.world.ids import is_safe_id
from trebuchet.emulator.world.records import known_values

if TYPE_CHECKING:
    from collections.abc import Iterator
    from dataclasses import Field
    from pathlib import Path


class Record(Protocol):
    """A dataclass of plain values with an id."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def id(self) -> str:
        """Which one it is."""
        ...


R = TypeVar("R", bound=Record)


class Shelf(Generic[R]):
    """Keeps records of one kind in memory and on disk."""

    def __init__(self, folder: Path, kind: type[R], noun: str) -> None:
        self._folder = make_private_folder(folder)
        self._noun = noun
        self._records: dict[str, R] = {}
        for path in sorted(folder.glob("*.json")):
            record = _read(path, kind)
            if record is not None:
                self._records[record.id] = record

    def __iter__(self) -> Iterator[R]:
        return iter(self._records.values())

    def get(self, record_id: str) -> R:
        """The record of this id.

        Raises:
            NotFoundError: There is none.
        """
        record = self._records.get(record_id)
        if record is None:
            raise NotFoundError(f"{self._noun} {record_id!r} does not exist.")
        return record

    def peek(self, record_id: str) -> R | None:
        """The record of this id, or None."""
        return self._records.get(record_id)

    def put(self, record: R) -> R:
        """Keep a record, in place of the one with its id."""
        keep_json(self.path(record.id), asdict(record))
        self._records[record.id] = record
        return record

    def drop(self, record_id: str) -> None:
        """Forget a record."""
        if self._records.pop(record_id, None) is not None:
            self.path(record_id).unlink(missing_ok=True)

    def path(self, record_id: str) -> Path:
        """Where a record lies."""
        if not is_safe_id(record_id):
            raise NotFoundError(f"{self._noun} {record_id!r} does not exist.")
        return self._folder / f"{record_id}.json"


def _read(path: Path, kind: type[R]) -> R | None:
    """The record in a file. One that cannot be read is set aside: all the others are of use without it."""
    try:
        known = read_json(path)
        return None if known is None else kind(**known_values(kind, known))
    except (ValueError, TypeError) as error:
        set_aside(path, error)
        return None
