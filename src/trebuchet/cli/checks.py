"""What `trebuchet doctor` looks at. Each check answers with findings, whatever it meets."""

from __future__ import annotations

import operator
import os
import platform
import re
import shutil
import stat
import tempfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from trebuchet.errors import AuthenticationError, TrebuchetError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from trebuchet.settings import Settings

Level = Literal["ok", "warn", "fail"]

_UNKNOWN = "run it again with --debug; what it then shows belongs into a bug report"
_LITTLE_SPACE = 2 * 1024**3
_COMPARE = {">=": operator.ge, "<=": operator.le, "<": operator.lt, ">": operator.gt, "==": operator.eq}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one check found.

    Attributes:
        subject: What was looked at.
        level: `fail` where something cannot work, `warn` where something is missing that not everybody needs.
        found: What there is, in words.
        remedy: What to do about it; None where all is well.
    """

    subject: str
    level: Level
    found: str
    remedy: str | None = None


def all_findings(settings: Settings) -> Iterator[Finding]:
    """Look at everything, one thing after another."""
    yield sdk()
    yield state_folder(settings.home)
    yield space(settings.home)
    yield from local_engine(settings)
    yield from modal_account(settings)


def sdk() -> Finding:
    """Whether the SDK is of a version that Trebuchet is tested with."""
    tested = _tested_range()
    try:
        installed = version("modal")
    except PackageNotFoundError:
        return Finding(
            subject="modal SDK", level="fail", found="not installed", remedy=f"pip install 'modal{tested}'"
        )
    if _within(installed, tested):
        return Finding(
            subject="modal SDK", level="ok", found=f"{installed}, on Python {platform.python_version()}"
        )
    return Finding(
        subject="modal SDK",
        level="warn",
        found=f"{installed}; tested with {tested}",
        remedy=f"pip install 'modal{tested}'",
    )


def _tested_range() -> str:
    """As the package itself requires it, so that there is one place to change."""
    for requirement in requires("trebuchet") or ():
        if match := re.match(r"modal\s*([<>=!~][^;]*)", requirement):
            return match[1].strip()
    return ""


def _within(installed: str, tested: str) -> bool:
    parts = re.findall(r"(>=|<=|==|<|>)\s*([\d.]+)", tested)
    return all(_COMPARE[sign](_numbers(installed), _numbers(bound)) for sign, bound in parts)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", text)[:3])


def state_folder(home: Path) -> Finding:
    """Whether state can be kept, and by this user alone."""
    subject = "state folder"
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    if not _takes_folders(existing):
        return Finding(
            subject=subject, level="fail", found=f"{existing} cannot be written to",
            remedy="set TREBUCHET_HOME to a folder of yours",
        )  # fmt: skip
    if existing != home:
        return Finding(subject=subject, level="ok", found=f"{home}, made at the first use")
    status = home.stat()
    if stat.S_IMODE(status.st_mode) & 0o077:
        return Finding(
            subject=subject, level="warn", found=f"{home} is open to other users", remedy=f"chmod 700 {home}"
        )
    return Finding(subject=subject, level="ok", found=str(home))


def _takes_folders(folder: Path) -> bool:
    """Whether one can be made there: permissions do not tell, of `/proc` say."""
    if not os.access(folder, os.W_OK | os.X_OK):
        return False
    try:
        Path(tempfile.mkdtemp(prefix=".trebuchet-doctor-", dir=folder)).rmdir()
    except OSError:
        return False
    return True


def space(home: Path) -> Finding:
    """Whether the disk that holds the state has room."""
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    found = f"{free / 1024**3:.1f} GiB free"
    if free < _LITTLE_SPACE:
        return Finding(
            subject="disk", level="warn", found=found, remedy="free some, or set TREBUCHET_HOME elsewhere"
        )
    return Finding(subject="disk", level="ok", found=found)


def local_engine(settings: Settings) -> Iterator[Finding]:
    """Whether sandboxes can run on this machine, and how well they are kept apart from it."""
    from trebuchet.engines.local import LocalDaemon, LocalEngine  # noqa: PLC0415 - as late as it can be

    daemon = LocalDaemon(settings)
    try:
        kind, missing = daemon.isolation()
        yield _isolation(kind, missing)
        yield Finding(subject="limits", level="ok", found=daemon.limits() or "held by control groups")
        yield _gpus(LocalEngine(settings).machine())
        running = daemon.running()
        found = f"process {running[0]} at {running[1]}" if running else "starts when it is needed"
        yield Finding(subject="local engine", level="ok", found=found)
    except (TrebuchetError, OSError) as error:
        yield Finding(
            subject="local engine", level="fail", found=str(error), remedy=_remedy(error) or _UNKNOWN
        )


def _isolation(kind: str, missing: tuple[str, ...]) -> Finding:
    if not missing:
        return Finding(subject="isolation", level="ok", found=kind)
    remedy = None
    if kind == "plain":
        remedy = (
            "On Linux: allow user namespaces (Ubuntu: sysctl kernel.apparmor_restrict_unprivileged_userns=0)."
        )
    return Finding(subject="isolation", level="warn", found=f"{kind}. {' '.join(missing)}", remedy=remedy)


def _gpus(machine: Mapping[str, int]) -> Finding:
    found = ", ".join(f"{count} {name}" for name, count in sorted(machine.items()))
    return Finding(
        subject="GPUs here", level="ok", found=found or "none; a job that asks for one needs --cloud modal"
    )


def modal_account(settings: Settings) -> Iterator[Finding]:
    """Which account jobs on Modal would run in, and whether its token is accepted."""
    from trebuchet.engines import engine_for  # noqa: PLC0415 - as late as it can be

    profile = settings.profile or "the active one"
    try:
        engine = engine_for("modal", settings)
        identity = engine.identity()
        engine.find({f"{settings.tag_prefix}key": "doctor"})
    except AuthenticationError as error:
        yield Finding(
            subject="Modal account", level="warn", found=f"{error} Jobs on this machine need none.",
            remedy=_remedy(error),
        )  # fmt: skip
    except TrebuchetError as error:
        yield Finding(
            subject="Modal account",
            level="fail",
            found=f"profile {profile}: {error}",
            remedy=_remedy(error) or _UNKNOWN,
        )
    else:
        place = identity.environment or "default"
        yield Finding(
            subject="Modal account", level="ok",
            found=f"profile {profile}, workspace {identity.workspace}, environment {place}",
        )  # fmt: skip


def _remedy(error: Exception) -> str | None:
    return error.hint if isinstance(error, TrebuchetError) else None
