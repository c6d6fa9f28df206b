"""The keeper as a process: its lock, the pipe that wakes it, how it leaves."""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import time
import traceback
from typing import TYPE_CHECKING, TextIO

from trebuchet.keeper.bell import Bell
from trebuchet.keeper.work import Keeper
from trebuchet.lifecycle.contexts import Contexts

if TYPE_CHECKING:
    from trebuchet.lifecycle.handoff import Post
    from trebuchet.settings import Settings

_PREDECESSOR_LEAVES_WITHIN_S = 3.0
_IDLE_S = 60.0


def keep(cloud: str, settings: Settings, post: Post) -> None:
    """Be the keeper until there is nothing left to hold; never returns."""
    if (lock := _locked(post)) is None:
        os._exit(0)  # Another one is at work.
    bell = Bell(post.pipe)
    keeper = Keeper(Contexts(settings), cloud, wake=bell.ring)
    try:
        _work(keeper, bell, lock)
    except BaseException:  # noqa: BLE001 - whatever it was, the process ends below, and its log says why
        traceback.print_exc(file=sys.stderr)
    if keeper.holding:
        # A normal exit would cancel what blocks, and the SDK would then end the sandboxes.
        os.kill(os.getpid(), signal.SIGKILL)
    lock.close()
    os._exit(0)


def _work(keeper: Keeper, bell: Bell, lock: TextIO) -> None:
    idle_since = time.monotonic()
    while True:
        if os.fstat(lock.fileno()).st_nlink == 0:
            return  # All of this was removed: it is not to be made again.
        pause = keeper.turn()
        if keeper.holding:
            idle_since = time.monotonic()
        bell.wait(min(pause, _IDLE_S))
        if not keeper.holding and time.monotonic() - idle_since >= _IDLE_S:
            if os.fstat(lock.fileno()).st_nlink == 0 or bell.take_down():
                return
            idle_since = time.monotonic()  # Somebody called just then, and believes that there is a keeper.


def _locked(post: Post) -> TextIO | None:
    file = post.lock.open("w", encoding="ascii")
    deadline = time.monotonic() + _PREDECESSOR_LEAVES_WITHIN_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return None
            time.sleep(0.05)
        else:
            return file
