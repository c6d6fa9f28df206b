"""The text of a job file, or a sentence about why there is none."""

from __future__ import annotations

import codecs
import errno
import os
import select
import stat
from typing import TYPE_CHECKING

from trebuchet.files.formats import looks_like

if TYPE_CHECKING:
    from pathlib import Path

    from trebuchet.files.problems import Problems

MOST_BYTES = 4 * 1024 * 1024
PIPE_PATIENCE_S = 30.0
_HINT = "a job file is YAML with a `run:` script in it"


def read_text(path: Path, problems: Problems) -> str:
    """Read a job file.

    Raises:
        JobFileError: It is missing, no file, too long, in another format, or not text.
    """
    data = _read(path, problems)
    if format_name := looks_like(data, path.name):
        problems.add(f"This looks like {format_name}, not like a job file.", _HINT)
        raise problems.error()
    return _decode(data, problems)


def read_plain_text(path: Path, problems: Problems) -> str:
    """Read a file that is no job file and may hold any text.

    Raises:
        JobFileError: It is missing, no file, too long, or not text.
    """
    return _decode(_read(path, problems), problems)


def _read(path: Path, problems: Problems) -> bytes:
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            problems.add("This is a folder, and a file is wanted.", "name a file in it")
        elif status.st_size > MOST_BYTES:
            problems.add(f"The file has {status.st_size:,} bytes; at most {MOST_BYTES:,} are read.", _HINT)
        elif not (
            stat.S_ISREG(status.st_mode) or stat.S_ISFIFO(status.st_mode) or stat.S_ISCHR(status.st_mode)
        ):
            problems.add("This is neither a file nor a pipe.", _HINT)
        problems.settle()
        opener = _open_pipe if stat.S_ISFIFO(status.st_mode) else None
        with open(path, "rb", opener=opener) as file:
            data = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        problems.add("There is no such file.", "check the path")
        raise problems.error() from None
    except (OSError, ValueError) as error:
        problems.add(f"It cannot be read: {getattr(error, 'strerror', None) or error}.")
        raise problems.error() from None
    if len(data) > MOST_BYTES:
        problems.add(f"It has more than {MOST_BYTES:,} bytes, which are not read.", _HINT)
        raise problems.error()
    return data


def _open_pipe(path: str, flags: int) -> int:
    """Open a pipe, and wait until something is written to it.

    Raises:
        OSError: Nothing was, in time.
    """
    descriptor = os.open(path, flags | os.O_NONBLOCK)  # blocking, it would wait for a writer for ever
    waiting = select.poll()  # `select` takes no descriptor above 1023
    waiting.register(descriptor, select.POLLIN)
    if waiting.poll(PIPE_PATIENCE_S * 1_000):
        os.set_blocking(descriptor, True)
        return descriptor
    os.close(descriptor)
    raise TimeoutError(errno.ETIMEDOUT, f"nothing was written to it in {PIPE_PATIENCE_S:g} seconds")


def _decode(data: bytes, problems: Problems) -> str:
    encoding = "utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line = before.count(b"\n") + 1
        column = error.start - (before.rfind(b"\n") + 1) + 1
        problems.add("A byte stands here that is not UTF-8.", "save the file as UTF-8", line, column)
        raise problems.error() from None
