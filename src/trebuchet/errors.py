"""Every error that Trebuchet raises on purpose.

    TrebuchetError                    200
    ├── UsageError                    201  the caller asked for something that makes no sense
    │   └── JobFileError              202  the job file cannot be read; holds every problem found
    ├── PlanError                     203  the job file cannot be run as written; holds every refusal
    ├── NotFoundError                 204
    │   └── ClusterNotFoundError      204
    │       └── JobNotFoundError      204
    ├── ControlPlaneError             205  the control plane refused or failed
    │   ├── AuthenticationError       206  no token, one that is not accepted, or another account's
    │   ├── ClusterUnreachableError   207  no answer (transient)
    │   ├── CapacityError             208  no such GPU free at present (transient)
    │   ├── RateLimitedError          209  too many requests (transient)
    │   ├── ImageBuildError           210
    │   └── AlreadyExistsError        211  a running sandbox has this name
    ├── LaunchError                   212  nothing was created, or what was created has been ended
    ├── LedgerError                   213  the ledger cannot be read or written
    ├── LocalEngineError              214  the local engine cannot start or cannot run this
    └── MachineError                  215  this machine refused something: no room, too many open files

The numbers are the exit codes of the command line, above all that a job may give by its own account.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

_LONGEST_SHOWN = 60


class TrebuchetError(Exception):
    """The root of the tree.

    Attributes:
        hint: What the user can do about it, a sentence, or None.
        exit_code: The exit code of the command line for this error.
        transient: Whether the same call may succeed later with nothing changed.
    """

    exit_code: ClassVar[int] = 200
    transient: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(TrebuchetError):
    exit_code = 201


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault of a job file, with its place.

    Attributes:
        message: The fault, in a sentence that names the field.
        hint: The way out, where there is one.
        file: The file's path as the user gave it, or None for a value from the command line.
        line: Counted from 1; None where the fault has no place.
        column: Counted from 1; None where the fault has no place.
    """

    message: str
    hint: str | None = None
    file: str | None = None
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        text = f"{place}: {self.message}" if place else self.message
        return f"{text} ({self.hint})" if self.hint else text


def shown(value: object) -> str:
    """A value as messages quote it, cut short; never for one that may be secret."""
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


class _ProblemsError(TrebuchetError):
    def __init__(self, problems: tuple[Problem, ...] | list[Problem], *, hint: str | None = None) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems), hint=hint)


class JobFileError(_ProblemsError, UsageError):
    """A job file that cannot be read: all its faults at once, in `problems`."""

    exit_code = 202


class PlanError(_ProblemsError):
    """A job that cannot be run as written: all refusals at once, in `problems`."""

    exit_code = 203


class NotFoundError(TrebuchetError):
    exit_code = 204


class ClusterNotFoundError(NotFoundError):
    """No job was ever launched under this name, as far as ledger and control plane can tell."""


class JobNotFoundError(ClusterNotFoundError):
    """No job has this key or sandbox id."""


class ControlPlaneError(TrebuchetError):
    exit_code = 205


class AuthenticationError(ControlPlaneError):
    exit_code = 206


class ClusterUnreachableError(ControlPlaneError):
    """The control plane gave no answer. What is there is unknown: never read it as "not found"."""

    exit_code = 207
    transient = True


class CapacityError(ControlPlaneError):
    exit_code = 208
    transient = True


class RateLimitedError(ControlPlaneError):
    exit_code = 209
    transient = True


class ImageBuildError(ControlPlaneError):
    """The image could not be built.

    Attributes:
        build_log: What the build printed, as far as it was received.
    """

    exit_code = 210

    def __init__(self, message: str, *, build_log: str = "", hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.build_log = build_log


class AlreadyExistsError(ControlPlaneError):
    exit_code = 211


class LaunchError(TrebuchetError):
    exit_code = 212


class LedgerError(TrebuchetError):
    exit_code = 213


class LocalEngineError(TrebuchetError):
    exit_code = 214


class MachineError(TrebuchetError):
    """This machine refused something that a call needs: no room, too many open files.

    It says nothing about what is there on the control plane.
    """

    exit_code = 215
