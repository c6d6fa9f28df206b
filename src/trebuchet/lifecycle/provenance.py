"""Which state of the user's code a job was launched from."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

_PATIENCE_S = 2.0


def git_state(folder: str | None) -> tuple[str | None, bool | None]:
    """The commit of a folder and whether its tracked files differ; (None, None) where git does not tell.

    A hint for later, not worth waiting for: a huge tree is given two seconds.
    """
    if folder is None or not _in_repository(Path(folder)):
        return None, None
    commit = _git(folder, "rev-parse", "--verify", "HEAD")
    if not commit:
        return None, None
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return commit.strip(), None if changes is None else bool(changes.strip())


def _in_repository(folder: Path) -> bool:
    place = folder.expanduser().absolute()
    return any((parent / ".git").exists() for parent in (place, *place.parents))


def _git(folder: str, *words: str) -> str | None:
    # Without locks: another git may be at work there.
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}
    try:
        done = subprocess.run(
            ["git", "-C", str(Path(folder).expanduser()), *words],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE_S,
            check=False,
            env=environment,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
