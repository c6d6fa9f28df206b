"""Scripts that are too long for arguments, as files for as long as their upload takes."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from trebuchet.sandbox import Upload

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping


@contextmanager
def script_uploads(scripts: Mapping[str, str]) -> Generator[tuple[Upload, ...]]:
    """The uploads that bring texts to their places; the files behind them are private, and soon gone."""
    if not scripts:
        yield ()
        return
    with tempfile.TemporaryDirectory(prefix="trebuchet-scripts-") as folder:
        yield tuple(
            _upload(Path(folder) / str(number), text, place)
            for number, (place, text) in enumerate(scripts.items())
        )


def _upload(source: Path, text: str, place: str) -> Upload:
    source.touch(mode=0o600)
    source.write_bytes(text.encode())  # as it is: no line ending is changed
    return Upload(source=source, target=place, role="credential")
