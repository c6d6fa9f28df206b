"""Places in the sandbox, and text with variables in it."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from trebuchet.plan.script import WORK_DIR

if TYPE_CHECKING:
    from collections.abc import Mapping

HOME = "/root"

_SYSTEM = frozenset(
    {
        "/", "/bin", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/proc", "/root", "/run", "/sbin", "/sys",
        "/tmp", "/usr", "/usr/bin", "/usr/lib", "/usr/sbin",  # noqa: S108 - a place in the sandbox
    }
)  # fmt: skip
_MADE_BY_KERNEL = ("/proc", "/sys")
_MADE_AT_START = (*_MADE_BY_KERNEL, "/dev", "/run")

_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))")
_PLACEHOLDER = re.compile(r"<[^<>/]+>|\bYOUR[-_][A-Z]")
_ALL_PLACEHOLDER = re.compile(r"<[\w .'-]+>|YOUR[-_][A-Z_-]+")


class PlaceError(ValueError):
    """A clause that says why some text names no place or thing, and a hint."""

    def __init__(self, clause: str, hint: str | None = None) -> None:
        super().__init__(clause)
        self.hint = hint


_LONGEST_PLACEHOLDER = 200


def is_placeholder(value: str) -> bool:
    """Whether all of a value stands for one that somebody was to put there: `<your-token>`, `YOUR_BUCKET`."""
    text = value.strip()
    return len(text) <= _LONGEST_PLACEHOLDER and _ALL_PLACEHOLDER.fullmatch(text) is not None


def filled(text: str, variables: Mapping[str, str]) -> str:
    """Text with its `$NAME`s replaced by the job's own variables.

    Raises:
        PlaceError: A name is not among them, or a placeholder was never replaced.
    """
    if _PLACEHOLDER.search(text):
        raise PlaceError(f"{text} is a placeholder that nobody replaced", "write the real name")
    missing = next((name for name in map(_name, _VARIABLE.finditer(text)) if name not in variables), None)
    if missing is not None:
        raise PlaceError(f"${missing} is not set", f"give it a value: --env {missing}=VALUE")
    return _VARIABLE.sub(lambda match: variables[_name(match)], text)


def _name(match: re.Match[str]) -> str:
    return match[1] or match[2]


def place(text: str, variables: Mapping[str, str]) -> str:
    """An absolute path in the sandbox; a `/` at its end stays, since it says "into this folder".

    Raises:
        PlaceError: The text names no path.
    """
    path = filled(text, {"HOME": HOME, **variables}).strip()
    if not path or "\0" in path:
        raise PlaceError("no place in the sandbox is named", "write a path, like /data or ~/.netrc")
    if path == "~" or path.startswith("~/"):
        path = HOME + path[1:]
    elif path.startswith("~"):
        raise PlaceError(
            f"{path} is the home of a user that is not there", "everything runs as root: ~/ is /root/"
        )
    elif not path.startswith("/"):
        path = f"{WORK_DIR}/{path}"
    tidy = "/" + posixpath.normpath(path).lstrip("/")
    return tidy + "/" if path.endswith("/") and tidy != "/" else tidy


def keep_out_of_system(where: str, *, mounted: bool) -> None:
    """Allow a place for a file or a mount where it does not take the place of the system's own.

    Args:
        where: An absolute path in the sandbox.
        mounted: Whether it is mounted when the sandbox starts; else it is there before, and hidden by what is
            made then.

    Raises:
        PlaceError: It may not be filled.
    """
    for folder in _MADE_BY_KERNEL if mounted else _MADE_AT_START:
        if within(where, folder):
            raise PlaceError(
                f"{where} lies in {folder}, of which each sandbox has its own", "put it elsewhere"
            )
    if (where.rstrip("/") or "/") in _SYSTEM:
        raise PlaceError(f"{where} belongs to the system", "name a folder below it")


def within(path: str, folder: str) -> bool:
    """Whether a path is a folder or lies below it."""
    path, folder = path.rstrip("/"), folder.rstrip("/")
    return path == folder or path.startswith(f"{folder}/")
