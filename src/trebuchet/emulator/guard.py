"""A small process that outlives this one, to clear what an engine within it leaves if it is killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from trebuchet.emulator.disk import make_private_folder
from trebuchet.emulator.endpoint import try_daemon_lock
from trebuchet.emulator.errors import EmulatorError
from trebuchet.emulator.own_python import PACKAGE_ROOT

if TYPE_CHECKING:
    from pathlib import Path

LOCK_TIMEOUT_S = 10.0
LEAVES_WITHIN_S = 5.0
LOOK_S = 0.01
_PROGRAM = """
import os, sys
sys.path.insert(0, sys.argv.pop())
if not os.read(int(sys.argv[1]), 1):
    from pathlib import Path
    from trebuchet.emulator.aftermath import clear
    clear(Path(sys.argv[2]))
"""
_OURS: set[int] = set()
"""The descriptors by which this process is known to live. A fork of it must not count as it."""


class Guard:
    """Holds a state directory for this process, and has it cleared when this process is no more."""

    def __init__(self, state: Path) -> None:
        """Take the directory, made if missing.

        Raises:
            EmulatorError: Another engine has it, or the guard cannot be started.
        """
        self._lock = _take_lock(state)
        _OURS.add(self._lock)
        theirs, self._word = os.pipe()
        _OURS.add(self._word)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-c", _PROGRAM, str(theirs), str(state.absolute()), str(PACKAGE_ROOT)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(theirs,),
                start_new_session=True,
                cwd="/",
            )
        except OSError as error:
            self._let_go()
            raise EmulatorError(f"The local engine's guard cannot be started: {error}.") from error
        finally:
            os.close(theirs)

    @property
    def pid(self) -> int:
        """The process that waits for the end of this one."""
        return self._process.pid

    def release(self) -> None:
        """There is nothing left to clear."""
        with suppress(BrokenPipeError):  # it was killed
            os.write(self._word, b"\n")
        self._let_go()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(LEAVES_WITHIN_S)

    def _let_go(self) -> None:
        for descriptor in (self._lock, self._word):
            _OURS.discard(descriptor)
            os.close(descriptor)


def _take_lock(state: Path) -> int:
    """Take the lock of a new directory; whoever looks for abandoned ones may have it for a moment."""
    make_private_folder(state)
    deadline = time.monotonic() + LOCK_TIMEOUT_S
    while (lock := try_daemon_lock(state)) is None:
        if time.monotonic() > deadline:
            raise EmulatorError(f"Another local engine has {state}.")
        time.sleep(LOOK_S)
    return lock


def _close_in_fork() -> None:
    for descriptor in _OURS:
        os.close(descriptor)
    _OURS.clear()


os.register_at_fork(after_in_child=_close_in_fork)
