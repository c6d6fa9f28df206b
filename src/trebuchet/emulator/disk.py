"""Small files, written whole or not at all. Imports nothing heavy: the daemon's starter uses it too."""

from __future__ import annotations

import errno
import json
import logging
import os
import secrets
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO, cast

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

log = logging.getLogger(__name__)

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700


def make_private_folder(folder: Path) -> Path:
    """Make a folder, with its parents, that its owner alone can enter."""
    missing = [each for each in folder.parents if not each.is_dir()]
    for each in (*reversed(missing), folder):  # `mkdir` with `parents` would make those for everybody
        each.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
    folder.chmod(PRIVATE_FOLDER)
    return folder


def write_whole(path: Path, content: bytes, mode: int = PRIVATE_FILE) -> None:
    """Replace a file at once: a reader, or a crash of the process, sees the old content or the new.

    A crash of the machine may leave it empty. Waiting for the disk takes 0.3 ms where it has nothing else to
    do, and half a second where it has: too long for what is written on the way of every sandbox.
    """
    with _draft(path, mode) as file:
        file.write(content)


@contextmanager
def _draft(path: Path, mode: int) -> Generator[BinaryIO]:
    """A file to fill, which takes the place of another when the block ends well."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def write_json(path: Path, value: object) -> None:
    """Write a value as JSON; as whole as `write_whole` writes."""
    write_whole(path, _json(value))


def keep_json(path: Path, value: object) -> None:
    """Write a value as JSON; a crash of the machine too leaves the old one or the new. Waits for the disk."""
    with _draft(path, PRIVATE_FILE) as file:
        file.write(_json(value))
        file.flush()
        os.fsync(file.fileno())


def _json(value: object) -> bytes:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    # Names of files may hold bytes that are no text, which Python keeps as halves of surrogate pairs.
    return text.encode("utf-8", "surrogatepass")


def set_aside(path: Path, why: object, folder: Path | None = None) -> None:
    """Move a file that cannot be read out of the way, for people to look at, and log that.

    Args:
        path: The file.
        why: What is wrong with it.
        folder: Where to put it; None for where it is, under a name that says so.
    """
    aside = path.rename((folder or path.parent) / f"{path.name}.unreadable-{secrets.token_hex(4)}")
    log.error("%s cannot be read (%s): it is now %s", path, why, aside)


def read_json(path: Path) -> dict[str, object] | None:
    """The JSON object in a file, or None where there is no such file.

    Raises:
        ValueError: The file holds something else.
    """
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    value: object = json.loads(content)
    if not isinstance(value, dict):
        raise ValueError(f"{path} does not hold a JSON object")  # noqa: TRY004 - a content error, not a caller's
    return cast("dict[str, object]", value)


def append_lines(path: Path, *values: object) -> None:
    """Add values, a line of JSON each, in one write.

    Each begins on a line of its own, so that one which a crash or a full disk cut short spoils no other.
    """
    lines = "".join(f"\n{json.dumps(value, separators=(',', ':'))}\n" for value in values).encode()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, PRIVATE_FILE)
    try:
        if os.write(descriptor, lines) < len(lines):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    finally:
        os.close(descriptor)


def read_lines(path: Path) -> list[dict[str, object]]:
    """The objects in a file of such lines, without what was cut short; none where there is no file."""
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return []
    values: list[dict[str, object]] = []
    for line in filter(None, content.split(b"\n")):
        with suppress(ValueError):
            value: object = json.loads(line)
            if isinstance(value, dict):
                values.append(cast("dict[str, object]", value))
    return values
