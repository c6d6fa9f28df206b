"""Small files, written whole or not at all. Imports nothing heavy: the daemon's starter uses it too."""

from __future__ import annotations

import errno
import json
import os
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from pathlib import Path

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
    """Replace a file at once: a reader, or a crash, sees the old content or the new, never a part."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def write_json(path: Path, value: object) -> None:
    """Write a value as JSON, whole or not at all."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    # Names of files may hold bytes that are no text, which Python keeps as halves of surrogate pairs.
    write_whole(path, text.encode("utf-8", "surrogatepass"))


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
    """The values in a file of such lines, without those cut short; none where there is no file."""
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return []
    values: list[dict[str, object]] = []
    for line in filter(None, content.split(b"\n")):
        with suppress(ValueError):
            values.append(json.loads(line))
    return values
