"""What would travel with a job, told to a person: counted here, before anything is sent."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trebuchet.cli.sizes import size
from trebuchet.uploads import Manifest, scan

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

    from trebuchet.plan.model import Plan
    from trebuchet.sandbox import Upload

_WORTH_A_LOOK = 100_000_000
"""Bytes from which on a person is shown what is so big."""

_MOST_LEFT_OUT = 5
"""How many paths of a kind are named."""


@dataclass(frozen=True)
class Travelling:
    """One upload, and what was found at its source."""

    upload: Upload
    manifest: Manifest

    @property
    def amount(self) -> str:
        """How much it is: `12 files, 3.4 MB`."""
        count = self.manifest.count
        return f"{count:,} file{'' if count == 1 else 's'}, {size(self.manifest.bytes)}"

    @property
    def largest(self) -> str:
        """The largest files: one, or several where all together are big; empty where nothing travels."""
        files = self.manifest.largest(5 if self.manifest.bytes > _WORTH_A_LOOK else 1)
        return ", ".join(f"{file.path} ({size(file.size)})" for file in files)

    @property
    def is_big(self) -> bool:
        return self.manifest.bytes > _WORTH_A_LOOK

    def left_out(self) -> Iterator[str]:
        """What does not arrive as it is here, a sentence for each reason."""
        by_reason: dict[str, list[str]] = {}
        for left in self.manifest.left_out:
            by_reason.setdefault(left.why, []).append(left.path)
        for why, paths in by_reason.items():
            more = len(paths) - _MOST_LEFT_OUT
            named = ", ".join(paths[:_MOST_LEFT_OUT]) + (f" and {more:,} more" if more > 0 else "")
            yield f"{self.upload.source}: left out, {why}: {named}"


def travelling(plan: Plan, *, state: Path, without: Collection[Upload] = ()) -> list[Travelling]:
    """The uploads of a plan, counted.

    Args:
        plan: Whose.
        state: Where Trebuchet's own state is kept, which is never sent.
        without: Those that are left out.

    Raises:
        UsageError: A source is missing or cannot be read.
    """
    uploads = (upload for upload in plan.candidates[0].uploads if upload not in without)
    return [Travelling(upload, scan(upload, state=state)) for upload in uploads]


def notes_of(plan: Plan, found: Sequence[Travelling]) -> list[str]:
    """What is said at a launch about a plan and its uploads."""
    told = [f"{note.field}: {note.done}, {note.why}" for note in plan.notes]
    told += [note for one in found for note in one.left_out()]
    told += [
        f"{one.upload.source}: {one.amount} are sent; the largest: {one.largest}"
        for one in found
        if one.is_big
    ]
    return told


class Memory:
    """What was sent by earlier launches from this home, by fingerprint alone.

    Args:
        home: Where Trebuchet keeps its state.
        cloud: Where it was sent to.
    """

    def __init__(self, home: Path, cloud: str) -> None:
        self._folder = home / "uploads"
        self._cloud = cloud

    def unchanged(self, one: Travelling) -> bool:
        """Whether a launch has sent just this before."""
        try:
            return self._file(one).read_text("ascii") == one.manifest.fingerprint()
        except (OSError, ValueError):
            return False

    def keep(self, one: Travelling) -> None:
        """A launch has sent it. Where that cannot be written the next one says nothing of it."""
        if one.upload.role != "credential":
            with suppress(OSError):  # The job runs, and this command is to tell so.
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._file(one).write_text(one.manifest.fingerprint(), "ascii")

    def _file(self, one: Travelling) -> Path:
        place = f"{self._cloud}\0{one.upload.source}\0{one.upload.target}"
        return (
            self._folder / hashlib.blake2b(place.encode(errors="surrogateescape"), digest_size=16).hexdigest()
        )
