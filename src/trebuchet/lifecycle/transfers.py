"""How far a launch has got with sending files, told where it is sent from and to whoever waits elsewhere."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

from trebuchet.settings import make_missing_folder
from trebuchet.uploads import Sent

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from trebuchet.settings import Settings


def transfer_path(settings: Settings, key: str) -> Path:
    """Where it is told how far sending a job's files has got."""
    return settings.home / "builds" / f"{key}.sent"


@contextmanager
def transfer_told(
    settings: Settings, key: str, on_sent: Callable[[Sent], None] | None
) -> Generator[Callable[[Sent], None]]:
    """What to tell of a transfer while the block runs: it goes to `on_sent`; without one, to a small file.

    The file stays where all went well, for whoever waits may look for its last word only later.
    """
    if on_sent is not None:
        yield on_sent
        return
    place = transfer_path(settings, key)
    place.unlink(missing_ok=True)

    def write(sent: Sent) -> None:
        whole = sent.of or sent
        make_missing_folder(place.parent)
        draft = place.with_suffix(".sent-draft")
        draft.write_text(json.dumps([sent.files, sent.bytes, whole.files, whole.bytes]), "ascii")
        draft.replace(place)

    try:
        yield write
    except BaseException:
        place.unlink(missing_ok=True)
        raise


def told_elsewhere(settings: Settings, key: str) -> Sent | None:
    """How far another process has got that creates a job's sandbox; None where it sends nothing."""
    try:
        files, size, of_files, of_size = json.loads(transfer_path(settings, key).read_text("ascii"))
    except (FileNotFoundError, ValueError):
        return None
    return Sent(files=files, bytes=size, of=Sent(files=of_files, bytes=of_size))


def last_told(settings: Settings, key: str) -> Sent | None:
    """How far it got in all, where the sandbox has an id; nobody is told after this."""
    sent = told_elsewhere(settings, key)
    transfer_path(settings, key).unlink(missing_ok=True)
    return sent
