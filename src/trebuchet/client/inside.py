"""Inside a running job: commands, a shell, files to and fro, its ports."""

from __future__ import annotations

import os
import shutil
import tarfile
import threading
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO

from trebuchet.errors import ControlPlaneError, JobNotFoundError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trebuchet.engines.base import GpuUsage, Usage
    from trebuchet.ledger import Job
    from trebuchet.lifecycle.context import Context

_WORK_DIR = "/root/sky_workdir"
_IN_WORK_DIR = ("sh", "-c", f'cd {_WORK_DIR} 2>/dev/null; exec "$@"', "sh")
_SHELL = ("sh", "-c", f"cd {_WORK_DIR} 2>/dev/null; command -v bash >/dev/null && exec bash -l; exec sh")


@dataclass(frozen=True)
class Inside:
    """A running job, from within.

    Attributes:
        context: Its control plane.
        job: Which.
    """

    context: Context
    job: Job

    def exec(self, argv: Sequence[str]) -> int:
        """Run a command in the work dir with this process's standard streams; its exit code.

        Raises:
            JobNotFoundError: The job does not run.
        """
        return self.context.engine.exec(self._sandbox, (*_IN_WORK_DIR, *argv))

    def shell(self, argv: Sequence[str] = ()) -> int:
        """A shell, or a command, on a terminal; its exit code.

        Raises:
            JobNotFoundError: The job does not run.
            UsageError: This process has no terminal.
        """
        return self.context.engine.shell(self._sandbox, (*_IN_WORK_DIR, *argv) if argv else _SHELL)

    def usage(self) -> Usage | None:
        """What its processes take; None where that cannot be told.

        Raises:
            JobNotFoundError: The job does not run.
        """
        return self.context.engine.usage(self._sandbox)

    def gpu_usage(self) -> GpuUsage | None:
        """What it takes of its GPUs; None where that cannot be told, or it has none.

        Raises:
            JobNotFoundError: The job does not run.
        """
        if self.job.current.gpu is None:
            return None
        return self.context.engine.gpu_usage(self._sandbox)

    def ports(self) -> dict[int, str]:
        """Where the job's ports are reached from outside.

        Raises:
            JobNotFoundError: The job does not run.
        """
        return self.context.engine.ports(self._sandbox)

    def fetch(self, source: str, target: Path) -> None:
        """Copy a file or folder out of the job.

        Args:
            source: In the job; relative to its work dir.
            target: Here; an existing folder takes it under its own name.
        """
        place = PurePosixPath(_WORK_DIR, source)
        with _pipe() as (reads, writes):
            argv = ("tar", "-C", str(place.parent), "-chf", "-", "--", place.name)
            running = _Running(
                lambda: self.context.engine.exec(self._sandbox, argv, stdin=_nothing(), stdout=writes), writes
            )
            _unpack(reads, place.name, target / place.name if target.is_dir() else target)
            running.check(f"{source} cannot be copied out of {self.job.name}.")

    def send(self, source: Path, target: str) -> None:
        """Copy a file or folder into the job.

        Args:
            source: Here.
            target: In the job; relative to its work dir. One that ends in `/` takes it under its own name.

        Raises:
            UsageError: There is nothing to copy.
        """
        if not source.exists():
            raise UsageError(f"There is no {source}.")
        place = PurePosixPath(_WORK_DIR, target, source.name if target.endswith("/") else "")
        with _pipe() as (reads, writes):
            script = 'mkdir -p -- "$1" && exec tar -C "$1" -xf -'
            argv = ("sh", "-c", script, "sh", str(place.parent))
            running = _Running(lambda: self.context.engine.exec(self._sandbox, argv, stdin=reads))
            try:
                with tarfile.open(fileobj=writes, mode="w|") as archive:
                    archive.add(source, arcname=place.name)
            finally:
                writes.close()
                running.check(f"{source} cannot be copied into {self.job.name}.")

    @property
    def _sandbox(self) -> str:
        if self.job.sandbox_id is None or self.job.end_at is not None:
            raise JobNotFoundError(
                f"{self.job.name} ({self.job.key}) does not run.",
                hint=f"What it left: trebuchet logs {self.job.key}, trebuchet outputs {self.job.key}",
            )
        return self.job.sandbox_id


class _pipe:  # noqa: N801 - used as a function
    """Both ends of a pipe, as files."""

    def __enter__(self) -> tuple[BinaryIO, BinaryIO]:
        reads, writes = os.pipe()
        self._files = os.fdopen(reads, "rb"), os.fdopen(writes, "wb")
        return self._files

    def __exit__(self, *_: object) -> None:
        for file in self._files:
            if not file.closed:
                file.close()


class _Running:
    """A command that runs beside this thread."""

    def __init__(self, command: Callable[[], int], closes: BinaryIO | None = None) -> None:
        self._code: int | None = None
        self._error: BaseException | None = None

        def run() -> None:
            try:
                self._code = command()
            except BaseException as error:  # noqa: BLE001 - raised again where its end is waited for
                self._error = error
            finally:
                if closes is not None:
                    closes.close()

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()

    def check(self, failure: str) -> None:
        """Wait for its end.

        Raises:
            ControlPlaneError: It failed.
        """
        self._thread.join()
        if self._error is not None:
            raise self._error
        if self._code != 0:
            raise ControlPlaneError(failure)


def _unpack(stream: BinaryIO, name: str, target: Path) -> None:
    """Unpack what is packed under a name, under another; nothing lands outside of it.

    Raises:
        ControlPlaneError: What came is no archive of this, or would land elsewhere.
    """
    came = False
    try:
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                came = True
                _unpack_one(archive, member, name, target)
    except tarfile.TarError as error:
        if came or not isinstance(error, tarfile.ReadError):
            raise ControlPlaneError(f"What the job sent as {name!r} cannot be unpacked: {error}.") from error
        # Nothing came: the command's exit code says why.


def _unpack_one(archive: tarfile.TarFile, member: tarfile.TarInfo, name: str, target: Path) -> None:
    place = _place_of(member.name, name, target)
    if place == target:
        place.parent.mkdir(parents=True, exist_ok=True)
    if member.islnk():  # Another name of a file that came before; a stream cannot be read twice.
        shutil.copy2(_place_of(member.linkname, name, target), place, follow_symlinks=False)
    else:
        archive.extract(member.replace(name=place.name), path=place.parent, filter="data")


def _place_of(packed: str, name: str, target: Path) -> Path:
    """Where something packed under a name goes."""
    path = PurePosixPath(packed)
    if ".." in path.parts or path.parts[:1] != (name,):
        raise ControlPlaneError(f"What the job sent holds {packed!r}, which is not part of {name!r}.")
    return target / path.relative_to(name)


def _nothing() -> BinaryIO:
    return Path(os.devnull).open("rb")
