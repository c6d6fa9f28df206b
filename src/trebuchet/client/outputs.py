"""A job's outputs: what it wrote to `/outputs`, or asked to be kept there, listed and brought here."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO

from trebuchet.belongings import outputs_folder
from trebuchet.errors import NotFoundError, UsageError
from trebuchet.lifecycle.log_chain import archive_folder
from trebuchet.lifecycle.outputs import outputs_volume
from trebuchet.telling import silent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trebuchet.client.transfer import PullProgress
    from trebuchet.engines.base import VolumeFile
    from trebuchet.ledger import Job
    from trebuchet.lifecycle.context import Context


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputFile:
    """A file or folder among a job's outputs.

    Attributes:
        path: Relative to `/outputs`.
        is_dir: Whether it is a folder.
        size: In bytes.
        modified_at: Seconds since the epoch.
    """

    path: str
    is_dir: bool
    size: int
    modified_at: int


REMOVED = "removed"
"""The event of a job whose outputs and archived logs somebody deleted."""


class Outputs:
    """The outputs of one job.

    Args:
        context: The job's control plane.
        job: Whose.
    """

    def __init__(self, context: Context, job: Job) -> None:
        self._context = context
        self._engine = context.engine
        self._job = job

    @cached_property
    def _volume(self) -> str:
        """Where they are, whatever the setting says by now; empty where they were kept nowhere."""
        return outputs_volume(self._context.settings, self._context.ledger.recipe(self._job.key))

    def list(self, path: str = "") -> Sequence[OutputFile]:
        """What is there, in the order of paths; nothing where the job wrote nothing, or keeps nothing.

        Raises:
            NotFoundError: There is nothing at this path.
        """
        files = (self._output(file) for file in self._found(path) or () if file.kind in {"file", "directory"})
        return sorted((file for file in files if file is not None), key=lambda file: file.path)

    def _found(self, path: str) -> Sequence[VolumeFile] | None:
        """All that is there, whatever its kind; None where the job has no outputs at all."""
        wanted = self._path(path)
        try:
            return self._engine.list_files(self._kept(path), wanted)
        except NotFoundError as error:
            if path.strip("/"):
                raise self._not_there(path) from error
            return None

    def _kept(self, path: str) -> str:
        """The Volume of this job's outputs.

        Raises:
            NotFoundError: It keeps none.
        """
        if not self._volume:
            raise self._not_there(path)
        return self._volume

    def _not_there(self, path: str) -> NotFoundError:
        return NotFoundError(f"Among the outputs of {self._job.name} there is no {path}.")

    def read(self, path: str, sink: BinaryIO) -> None:
        """Write a file's content into one of the caller's.

        Raises:
            NotFoundError: There is no such file.
        """
        with (
            tempfile.TemporaryFile() as whole
        ):  # Blocks come in any order, and a pipe takes them in one alone.
            self._engine.read_file(self._kept(path), self._path(path), whole)
            whole.seek(0)
            shutil.copyfileobj(whole, sink, 1 << 20)

    def pull(
        self,
        path: str = "",
        dest: Path | str | None = None,
        *,
        on_progress: Callable[[PullProgress], None] | None = None,
        tell: Callable[[str], None] | None = None,
    ) -> Path:
        """Bring a file or folder here, several files at a time.

        Each file gets its name when it is whole and checked. What is here already, of the same size and
        time, is not brought again, nor are the parts of a large file that came before a transfer broke
        off: asked again, it goes on there. A large file that only grows meanwhile comes as it was at the
        beginning; one that is changed is brought once more, twice at most; one that is removed is left out.

        Args:
            path: Relative to `/outputs`; empty for all of it.
            dest: The file or folder to make; None for one of the same name in the current folder. A file
                goes under its own name into a folder that is there, or into one whose name, as text, ends
                in `/`. A link to a file is replaced by what comes; the file it leads to stays.
            on_progress: Called as bytes arrive, from several threads.
            tell: Is told of files that the job changed meanwhile, from several threads.

        Returns:
            What was made.

        Raises:
            NotFoundError: There is nothing to bring, or a file was another each time that it was brought.
            UsageError: Where a file is to go there is a pipe, a device or the like, or a link to one.
            OSError: It cannot be written here.
        """
        found = self.list(path)
        files = [file for file in found if not file.is_dir]
        base = PurePosixPath(path.strip("/"))
        self._need_what_was_asked_for(base, found)
        if len(found) == 1 and not found[0].is_dir and found[0].path == str(base):
            target = _file_target(dest, base.name)
            self._pull_all([(files[0], target)], on_progress, tell, of_folder=False)
            return target
        target = Path(dest or base.name or outputs_folder(self._job.key))
        for folder in (file for file in found if file.is_dir):
            (target / _below(folder.path, base)).mkdir(parents=True, exist_ok=True)
        target.mkdir(parents=True, exist_ok=True)
        pairs = [(file, target / _below(file.path, base)) for file in files]
        self._pull_all(pairs, on_progress, tell, of_folder=True)
        return target

    def _need_what_was_asked_for(self, base: PurePosixPath, found: Sequence[OutputFile]) -> None:
        """An empty folder can be brought; what a link leads to, or nothing at all, cannot.

        Raises:
            NotFoundError: It is one of these.
        """
        if not found and not base.name:
            raise NotFoundError(f"{self._job.name} has no outputs.", hint="A job writes them to /outputs.")
        elsewhere = not all(PurePosixPath(file.path).is_relative_to(base) for file in found)
        if elsewhere or any(file.path == self._path(str(base)) for file in self._others(base, found)):
            raise NotFoundError(f"{base} is neither a file nor a folder.", hint="Links are left out.")

    def _others(self, base: PurePosixPath, found: Sequence[OutputFile]) -> Sequence[VolumeFile]:
        """What there is that is neither a file nor a folder, where there is nothing else."""
        return () if found else self._found(str(base)) or ()

    def remove(self) -> None:
        """Delete the outputs, and the archive of the logs.

        Raises:
            UsageError: The job has not ended: it would lose what it still writes.
        """
        if self._job.end_at is None:
            raise UsageError(f"{self._job.name} has not ended.", hint=f"trebuchet cancel {self._job.key}")
        if self._volume:
            self._engine.remove_files(self._volume, self._job.key)
        shutil.rmtree(archive_folder(self._context.settings.home, self._job.key), ignore_errors=True)
        self._context.ledger.note(self._job.key, REMOVED, {}, at=self._context.clock.now())

    def _pull_all(
        self,
        pairs: Sequence[tuple[OutputFile, Path]],
        on_progress: Callable[[PullProgress], None] | None,
        tell: Callable[[str], None] | None,
        *,
        of_folder: bool,
    ) -> None:
        from trebuchet.client.pulling import Pull  # noqa: PLC0415 - listing needs none of it
        from trebuchet.client.transfer import Progress, Transfer  # noqa: PLC0415 - likewise

        transfer = Transfer(
            engine=self._engine,
            volume=self._volume,
            place=self._path,
            progress=Progress(pairs, on_progress),
            tell=tell or silent,
            of_folder=of_folder,
        )
        Pull(transfer).bring(pairs)

    def _path(self, path: str) -> str:
        pure = PurePosixPath(self._job.key, path.strip("/"))
        if ".." in pure.parts:
            raise UsageError(f"{path} leads out of the job's outputs.")
        return str(pure)

    def _output(self, file: VolumeFile) -> OutputFile | None:
        path = PurePosixPath(file.path)
        if path.parts[:1] != (self._job.key,) or len(path.parts) < 2 or ".." in path.parts:
            return None
        return OutputFile(
            path=str(path.relative_to(self._job.key)),
            is_dir=file.kind == "directory",
            size=file.size,
            modified_at=file.modified_at,
        )


def _file_target(dest: Path | str | None, name: str) -> Path:
    if dest is None:
        return Path(name)
    return Path(dest, name) if str(dest).endswith("/") or Path(dest).is_dir() else Path(dest)


def _below(path: str, base: PurePosixPath) -> Path:
    return Path(PurePosixPath(path).relative_to(base))
