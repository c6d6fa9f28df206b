"""What an engine left whose process was killed: its sandboxes are ended, and its state is removed."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

from trebuchet.emulator.endpoint import try_daemon_lock
from trebuchet.emulator.errors import EmulatorError
from trebuchet.emulator.process.host import ProcessHost
from trebuchet.emulator.process.removal import remove_file_system, remove_tree
from trebuchet.emulator.process.supervise import framing

if TYPE_CHECKING:
    from pathlib import Path

END_TIMEOUT_S = 30.0
REMOVALS = 5
LOOK_S = 0.05
SANDBOXES = f"*/*/process/{framing.LOCK}"
BUILDS = f"layers/*/{framing.LOCK}"
BEGUN = "token.json"
"""What an engine writes first once it has its lock: where it is missing, one may be about to take that."""


def clear(state: Path) -> None:
    """End what runs for a state directory and remove it, unless an engine has it.

    Raises:
        EmulatorError: A sandbox does not end.
        OSError: Something cannot be removed.
    """
    lock = try_daemon_lock(state)
    if lock is None:
        return
    try:
        asyncio.run(_end_all(state))
        _remove(state)
    finally:
        os.close(lock)


def clear_abandoned(folder: Path, pattern: str) -> None:
    """Clear the state directories of this user below a folder whose engines were killed.

    What cannot be cleared stays for the next time: nobody waits for it.
    """
    for state in folder.glob(pattern):
        try:
            ours = state.lstat().st_uid == os.geteuid() and state.is_dir() and not state.is_symlink()
            if ours and (state / BEGUN).exists():
                clear(state)
        except (OSError, EmulatorError):
            continue


async def _end_all(state: Path) -> None:
    host = ProcessHost(state)
    folders = [lock.parent for pattern in (SANDBOXES, BUILDS) for lock in state.glob(pattern)]
    for folder in folders:
        host.terminate(folder)
    deadline = time.monotonic() + END_TIMEOUT_S
    for folder in folders:
        left_s = max(0.0, deadline - time.monotonic())
        if (await host.wait_end(folder, left_s)).phase in {"starting", "running"}:
            raise EmulatorError(f"A sandbox of the engine in {state} does not end.")
        await asyncio.to_thread(remove_file_system, folder)


def _remove(state: Path) -> None:
    """Remove the directory; a supervisor may still be writing its last there."""
    for attempt in range(1, REMOVALS + 1):
        try:
            remove_tree(state)
        except FileNotFoundError:
            return
        except OSError:
            if attempt == REMOVALS:
                raise
            time.sleep(LOOK_S * attempt)
        else:
            return
