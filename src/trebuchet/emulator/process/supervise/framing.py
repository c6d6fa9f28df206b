"""The bytes that both sides agree on: log records, the files of a folder, messages on a socket."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

RECORD = struct.Struct("<QII")
"""A log record's head: nanoseconds since the epoch, the stream, the length of the bytes that follow."""

STDOUT = 1
STDERR = 2
NOTICE = 3
"""What the engine itself has to say: that the log is full, and the like."""

LENGTH = struct.Struct("<I")
"""What precedes every message on a socket."""

LOG = "log"
RESULT = "result"
RUNNING = "running"
LOCK = "lock"
TERMINATE = "terminate"
CONTROL = "control"
STDIN = "stdin"
CRASH = "crash"
EXECS = "execs"
ROOT = "root"
WORK = "work"
NODES = "nodes"
CGROUP = "cgroup"

SPACE_IS_SHORT = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What a write says while there is no room for it."""


def message(content: Mapping[str, Any]) -> bytes:
    """An object as it travels on a socket."""
    payload = json.dumps(content).encode()
    return LENGTH.pack(len(payload)) + payload


def take_messages(buffer: bytearray) -> list[dict[str, Any]]:
    """Remove all whole messages from the buffer."""
    messages: list[dict[str, Any]] = []
    while len(buffer) >= LENGTH.size:
        end = LENGTH.size + LENGTH.unpack_from(buffer)[0]
        if len(buffer) < end:
            break
        messages.append(json.loads(bytes(buffer[LENGTH.size : end])))
        del buffer[:end]
    return messages


def write_object(path: str, content: dict[str, Any]) -> None:
    """Write a small JSON file that is there whole or not at all.

    Raises:
        OSError: It cannot be written, for want of room say; nothing is left of it.
    """
    temporary = path + ".new"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        _write_all(descriptor, json.dumps(content).encode())
        os.rename(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, data: bytes) -> None:
    """A disk that fills up takes a part first, and says only of the rest that there is no room."""
    while data:
        data = data[os.write(descriptor, data) :]


def read_object(path: str) -> dict[str, Any] | None:
    """The content of a small JSON file; None where there is none."""
    try:
        with open(path, "rb") as file:
            return json.load(file)
    except (FileNotFoundError, ValueError):
        return None
