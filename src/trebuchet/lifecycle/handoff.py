"""Handing a launch that may block for long to the keeper: waking the one that runs, or starting one."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import sys
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from trebuchet.errors import LaunchError
from trebuchet.lifecycle.steps import step
from trebuchet.settings import make_missing_folder

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence
    from pathlib import Path

    from trebuchet.engines.base import Identity
    from trebuchet.ledger import Job
    from trebuchet.lifecycle.context import Context

_KEPT = frozenset(
    {"PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV"}
    | {"CLOUDFLARE_ACCOUNT_ID"}  # part of the address of R2's buckets, and no secret
    | {"REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR", "UV_INDEX_URL"}
    | {f"{scheme}_proxy" for scheme in ("http", "https", "all", "no")}
    | {f"{scheme}_PROXY" for scheme in ("HTTP", "HTTPS", "ALL", "NO")}
)
_KEPT_BEGINNINGS = ("MODAL_", "TREBUCHET_", "LC_", "XDG_", "PYTHON", "COVERAGE_")
_NOT_KEPT = frozenset({"TREBUCHET_CRASH_AT", "TREBUCHET_STEPS"})


@dataclass(frozen=True, slots=True)
class Post:
    """Where the keeper for one ledger and one identity is found: its lock, and the pipe that wakes it."""

    folder: Path
    name: str

    @property
    def lock(self) -> Path:
        return self.folder / f"{self.name}.lock"

    @property
    def pipe(self) -> Path:
        return self.folder / f"{self.name}.wake"

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    @classmethod
    def of(cls, home: Path, identity: Identity) -> Post:
        """One keeper for each identity: a process has one token, and what another sees is no evidence."""
        words = "\n".join((identity.control_plane, identity.workspace, identity.environment))
        name = hashlib.sha256(words.encode()).hexdigest()[:12]
        return cls(home / "keeper", name)


def ensure_keeper(context: Context) -> bool:
    """Wake the keeper; where none listens, start one and give True.

    Raises:
        LaunchError: It could not be started.
    """
    post = Post.of(context.settings.home, context.engine.identity())
    if _wake(post.pipe):
        return False
    _start(keeper_command(context), post)
    return True


def watch(context: Context, jobs: Sequence[Job]) -> None:
    """See that a keeper watches jobs: those that may have another attempt, and those with a log to archive.

    Does not wait for one that it starts. Where none can be started it stays the next command's part to begin
    such an attempt, only later, and a log is archived by whoever follows it.
    """
    settings = context.settings
    if not settings.keeper or all(job.end_at is not None for job in jobs):
        return
    if settings.archive or any(job.watched and job.end_at is None for job in jobs):
        post = Post.of(settings.home, context.engine.identity())
        with suppress(LaunchError, OSError):
            if not _wake(post.pipe):
                _begin(keeper_command(context), post)


def keeper_command(context: Context) -> list[str]:
    """What starts the keeper of a ledger and an identity; no secret is in it."""
    settings = context.settings
    order = {
        "post": Post.of(settings.home, context.engine.identity()).name,
        "cloud": context.engine.cloud,
        "settings": asdict(settings) | {"home": str(settings.home)},
    }
    return [sys.executable, "-m", "trebuchet.keeper", json.dumps(order)]


def _wake(pipe: Path) -> bool:
    try:
        descriptor = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in {errno.ENXIO, errno.ENOENT}:  # nobody reads it, or nobody ever did
            return False
        raise
    try:
        with suppress(BlockingIOError):  # It is full of calls to wake up.
            os.write(descriptor, b"!")
        # A keeper that leaves takes the pipe away before it looks for the last time.
        return os.path.samestat(os.fstat(descriptor), pipe.stat())
    except (BrokenPipeError, FileNotFoundError):
        return False
    finally:
        os.close(descriptor)


def _start(command: list[str], post: Post) -> None:
    if _begin(command, post).wait() != 0:
        raise LaunchError("The keeper cannot be started.", hint=f"Its log is {post.log}.")


class _Beginning:
    """A process that starts the keeper and leaves, so that nobody has to wait for the keeper's end."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        # Waited for beside the caller: what nobody waits for stays in the system's table.
        self._code: int | None = None
        self._waits = threading.Thread(target=self._wait, args=(process,), name="keeper starts", daemon=True)
        self._waits.start()

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        self._code = process.wait()

    def wait(self) -> int | None:
        """Its exit code, once it has left."""
        self._waits.join()
        return self._code


def _begin(command: list[str], post: Post) -> _Beginning:
    import subprocess  # noqa: PLC0415 - a status starts nothing

    make_missing_folder(post.log.parent)
    step("before start keeper")
    try:
        with post.log.open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=keeper_environment(),
                start_new_session=True,
            )
    except OSError as error:
        raise LaunchError(f"The keeper cannot be started: {error.strerror}.") from error
    step("after start keeper")
    return _Beginning(process)


def keeper_environment() -> dict[str, str]:
    """What the keeper needs of this process's environment: nothing that a job's secrets could be among."""
    return {
        name: value
        for name, value in os.environ.items()
        if (name in _KEPT or name.startswith(_KEPT_BEGINNINGS)) and name not in _NOT_KEPT
    }
