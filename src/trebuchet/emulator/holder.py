"""Signals to the process that holds a daemon's lock, and to no other that has got its number since."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

_DESCRIPTORS = Path("/proc/self/fd")


def holds(lock: Path, pid: int) -> bool:
    """Whether a process has the file of a lock open; where there is no `/proc`, whether it is there."""
    try:
        if not _DESCRIPTORS.exists():
            os.kill(pid, 0)
            return True
        wanted = lock.stat()
        return any(_is(path, wanted) for path in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False


def send(lock: Path, pid: int, number: signal.Signals) -> None:
    """Signal a process if it has the file of a lock open."""
    with suppress(ProcessLookupError):
        if not hasattr(os, "pidfd_open"):
            os.kill(pid, number)
            return
        descriptor = os.pidfd_open(pid)  # first, so that what is looked at is what is signalled
        try:
            if holds(lock, pid):
                signal.pidfd_send_signal(descriptor, number)
        finally:
            os.close(descriptor)


def _is(path: Path, wanted: os.stat_result) -> bool:
    try:
        return os.path.samestat(path.stat(), wanted)
    except OSError:  # closed meanwhile
        return False
