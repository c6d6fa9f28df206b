"""Reading the traces that a supervisor leaves in a folder."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING, Any

from trebuchet.emulator.process.errors import CannotStartError, NotRunningError
from trebuchet.emulator.process.spec import ProcessState
from trebuchet.emulator.process.supervise import framing
from trebuchet.emulator.process.supervise.child import KILLED

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def take_lock(folder: Path) -> int:
    """Claim a folder for one process: its lock, held by the descriptor that is returned.

    Whoever inherits or receives the descriptor holds the lock too; when the last of them is gone, so is the
    process.

    Raises:
        CannotStartError: The folder has been used before.
    """
    taking = folder / f"{framing.LOCK}.{os.getpid()}"
    descriptor = os.open(taking, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        os.link(taking, folder / framing.LOCK)
    except FileExistsError:
        os.close(descriptor)
        raise CannotStartError(f"The folder {folder} was used before.") from None
    finally:
        taking.unlink()
    return descriptor


def read_state(folder: Path) -> ProcessState:
    """What a folder says: a sandbox's, or an exec's within it.

    Raises:
        NotRunningError: Nothing was ever started there.
    """
    result = framing.read_object(str(folder / framing.RESULT))
    if result is not None:
        return _ended(result)
    alive = _is_held(sandbox_of(folder) / framing.LOCK, folder)
    result = framing.read_object(str(folder / framing.RESULT))  # it may have come between the two looks
    if result is not None:
        return _ended(result)
    running = framing.read_object(str(folder / framing.RUNNING)) or {}
    if alive:
        return ProcessState(phase="running" if running else "starting", **_known(running))
    return _gone(folder, running)


def never_began(folder: Path) -> bool:
    """Whether a folder was claimed for a process of which no supervisor ever did anything.

    That is what a daemon leaves that is killed while it hands an order over. The first thing that a
    supervisor makes is its listening socket, and its result comes before that goes.
    """
    if not (folder / framing.LOCK).exists() or _is_held(folder / framing.LOCK, folder):
        return False
    traces = (framing.CONTROL, framing.RESULT, framing.RUNNING, framing.CRASH)
    return not any(os.path.lexists(folder / trace) for trace in traces)


def sandbox_of(folder: Path) -> Path:
    """The sandbox's folder for an exec's; a sandbox's own for itself."""
    return folder.parent.parent if folder.parent.name == framing.EXECS else folder


def _is_held(lock: Path, folder: Path) -> bool:
    try:
        descriptor = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise NotRunningError(f"Nothing was started in {folder}.") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _gone(folder: Path, running: Mapping[str, Any]) -> ProcessState:
    sandbox = sandbox_of(folder)
    if sandbox != folder:
        end = framing.read_object(str(sandbox / framing.RESULT))
        if end is not None:  # an exec that never got to run, or not to its end, before its sandbox ended
            return ProcessState(
                phase="ended",
                exit_code=KILLED,
                cause="terminated",
                ended_at=end["ended_at"],
                **_known(running),
            )
    return ProcessState(phase="lost", **_known(running))


def _ended(result: Mapping[str, Any]) -> ProcessState:
    return ProcessState(
        phase="ended",
        exit_code=result["exit_code"],
        cause=result["cause"],
        message=result["message"],
        started_at=result["started_at"],
        ended_at=result["ended_at"],
    )


def _known(running: Mapping[str, Any]) -> dict[str, Any]:
    return {"started_at": running.get("started_at"), "init_pid": running.get("init_pid")}
