"""How the daemon is found: its files in the state directory, and the lock it holds while it lives."""

from __future__ import annotations

import fcntl
import os
import secrets
import string
import zlib
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from trebuchet.emulator.disk import make_private_folder, read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Generator

ALPHABET = string.ascii_letters + string.digits


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where a running daemon answers, and what it wants to be shown.

    Attributes:
        url: `http://127.0.0.1:PORT`.
        token_id: What goes for Modal's token id.
        token_secret: What goes for Modal's token secret.
        pid: The daemon's process.
        code: Which code it runs; see `code_in_use`.
        code_time_ns: When that code was last changed.
        gpus: What `TREBUCHET_LOCAL_GPUS` said where it was started.
    """

    url: str
    token_id: str
    token_secret: str = field(repr=False)
    pid: int
    code: str = ""
    code_time_ns: int = 0
    gpus: str = ""


def endpoint_path(state: Path) -> Path:
    """Where the daemon writes its endpoint."""
    return state / "endpoint.json"


def log_path(state: Path) -> Path:
    """Where the daemon writes its log."""
    return state / "daemon.log"


def write_endpoint(state: Path, endpoint: Endpoint) -> None:
    """Tell where the daemon answers."""
    write_json(endpoint_path(state), asdict(endpoint))


def read_endpoint(state: Path) -> Endpoint | None:
    """What the daemon last told; it may be long gone."""
    try:
        known = read_json(endpoint_path(state))
        return Endpoint(**cast("dict[str, Any]", known)) if known is not None else None
    except (ValueError, TypeError):
        return None  # written by another version


def read_or_make_token(state: Path) -> tuple[str, str]:
    """The pair that every caller must present; made once a state directory, readable by its owner alone.

    A damaged file is made anew: callers read the pair from the endpoint, which the daemon writes after this.
    """
    path = make_private_folder(state) / "token.json"
    try:
        known = cast("dict[str, str]", read_json(path))
        return known["id"], known["secret"]
    except (ValueError, TypeError, KeyError):
        made = f"ak-{_random_word(22)}", f"as-{_random_word(40)}"
    write_json(path, {"id": made[0], "secret": made[1]})
    return made


def _random_word(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


@contextmanager
def exclusive_lock(path: Path) -> Generator[None]:
    """Hold a file lock, waiting for it; it ends with the block or with the process."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def lock_path(state: Path) -> Path:
    """The file whose lock the daemon holds while it lives."""
    return state / "daemon.lock"


def try_daemon_lock(state: Path) -> int | None:
    """The descriptor that holds the daemon's lock, or None where another process holds it."""
    descriptor = os.open(lock_path(state), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def daemon_lives(state: Path) -> bool:
    """Whether a daemon holds the lock. Dead ones cannot, whatever files they left."""
    if not lock_path(state).exists():
        return False
    descriptor = try_daemon_lock(state)
    if descriptor is None:
        return True
    os.close(descriptor)
    return False


@cache
def code_in_use() -> tuple[str, int]:
    """A digest of this package's files (names, sizes, times of change), and the latest of these times."""
    folder = Path(__file__).parent
    digest, newest = 0, 0
    for path in sorted(path for path in folder.rglob("*") if path.suffix in {".py", ".sh", ".c"}):
        known = path.stat()
        newest = max(newest, known.st_mtime_ns)
        line = f"{path.relative_to(folder)} {known.st_size} {known.st_mtime_ns}\n"
        digest = zlib.crc32(line.encode(), digest)
    return f"{digest:08x}", newest
