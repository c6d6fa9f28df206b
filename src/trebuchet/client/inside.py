"""Inside a running job: commands, a shell, files to and fro, its ports."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from trebuchet.client.begun import sandbox_of
from trebuchet.client.beside import Within
from trebuchet.plan.script import WORK_DIR
from trebuchet.telling import silent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trebuchet.engines.base import GpuUsage, Usage
    from trebuchet.ledger import Job
    from trebuchet.lifecycle.context import Context

_INWORK_DIR = ("sh", "-c", f'cd {WORK_DIR} 2>/dev/null; exec "$@"', "sh")
_SHELL = ("sh", "-c", f"cd {WORK_DIR} 2>/dev/null; command -v bash >/dev/null && exec bash -l; exec sh")
_EXPORT = "export:"


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

        It sees the variables of the job's scripts, those that a launch sets among them. It is ended where
        its output cannot be written, or somebody interrupts this.

        Raises:
            JobNotFoundError: The job does not run.
            OSError: Some of its output could not be written here.
        """
        sandbox = self._sandbox
        return self.context.engine.exec(sandbox, (*self._with_variables(), *_INWORK_DIR, *argv))

    def shell(self, argv: Sequence[str] = ()) -> int:
        """A shell, or a command, on a terminal, with the variables of the job's scripts; its exit code.

        Raises:
            JobNotFoundError: The job does not run.
            UsageError: This process has no terminal.
        """
        command = (*_INWORK_DIR, *argv) if argv else _SHELL
        sandbox = self._sandbox
        return self.context.engine.shell(sandbox, (*self._with_variables(), *command))

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

    def fetch(self, source: str, target: Path | str, *, tell: Callable[[str], None] | None = None) -> None:
        """Copy a file or folder out of the job. Links are followed; what is no file or folder is left out.

        Args:
            source: In the job; relative to its work dir.
            target: Here; a folder that is there, or text that ends in `/`, takes it under its own name.
            tell: Is told of what is left out.

        Raises:
            JobNotFoundError: The job does not run.
            UsageError: The target is there, and neither a file nor a folder.
            ControlPlaneError: It could not be read, or what came is no archive of it.
            OSError: It cannot be written here.
        """
        from trebuchet.client.fetching import fetch  # noqa: PLC0415 - most go inside to copy nothing

        fetch(self._within, PurePosixPath(WORK_DIR, source), target, tell or silent)

    def send(self, source: Path, target: str, *, tell: Callable[[str], None] | None = None) -> None:
        """Copy a file or folder into the job.

        Links within a folder stay links, and others are followed, as is the source itself; a link to nothing
        and what is no file or folder are left out.

        Args:
            source: Here.
            target: In the job; relative to its work dir. A folder that is there, or a path that ends in `/`,
                takes it under its own name.
            tell: Is told of what is left out.

        Raises:
            JobNotFoundError: The job does not run.
            UsageError: There is nothing to copy.
            ControlPlaneError: It could not be written there.
            OSError: Some of it cannot be read.
        """
        from trebuchet.client.sending import send  # noqa: PLC0415 - as above

        place, is_folder = PurePosixPath(WORK_DIR, target), target.endswith("/")
        send(self._within, source, place, tell or silent, is_folder=is_folder)

    @property
    def _sandbox(self) -> str:
        return sandbox_of(self.context, self.job)

    @property
    def _within(self) -> Within:
        return Within(self.context.engine, self._sandbox, self.job.name)

    def _with_variables(self) -> tuple[str, ...]:
        """What stands before a command for it to see the variables that the wrapper gives to the scripts.

        The sandbox's own environment has the others. Nothing of a job that another ledger launched.
        """
        from trebuchet.lifecycle.intent import bound  # noqa: PLC0415 - as above

        recipe = self.context.ledger.recipe(self.job.key)
        if not recipe.candidates:
            return ()
        planned = recipe.candidates[self.job.current.candidate]
        outputs = recipe.config.get("outputs", False)
        made = bound(self.context, self.job, planned, user=None, keep=outputs, values={})
        facts = made.argv[len(planned.argv) :]
        exported = (fact.removeprefix(_EXPORT) for fact in facts if fact.startswith(_EXPORT))
        return ("env", *exported)
