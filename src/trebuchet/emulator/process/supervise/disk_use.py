"""How much of the disk a sandbox has written to, held against its quota and what the machine is to keep."""

from __future__ import annotations

import os
import time

from trebuchet.emulator.process.supervise import framing
from trebuchet.emulator.process.supervise.appetite import descendants
from trebuchet.emulator.process.supervise.written import held_open, logged, written

_LOOK_S = 1.0
_LOOK_CLOSELY_S = 0.1
_NEAR = 4
"""So many times what is to stay free counts as near: from there on it is looked at closely."""
_COUNT_S = 5.0
_COST = 100
"""Counting may take one part in so many of the time: a sandbox with a million files is counted less often."""
_GROWN = 16 << 20
"""One that wrote less than that since the disk became nearly full is not what fills it."""


class DiskUse:
    """What a sandbox wrote to the file system of its folder, the working directory."""

    def __init__(self, quota: int, keep_free: int) -> None:
        """Begin to watch.

        Args:
            quota: Bytes that it may have written.
            keep_free: Bytes that are to stay free for others: whoever writes on beyond that is ended.
        """
        self._quota = quota
        self._keep_free = keep_free
        self._used = 0
        self._used_when_near: int | None = None
        self._free_when_counted = _free()
        self._due = time.monotonic() + _LOOK_S
        self._count_due = time.monotonic() + _COUNT_S

    @property
    def patience(self) -> float:
        """Seconds until it is worth another look."""
        return max(0.0, self._due - time.monotonic())

    def excess(self) -> tuple[str, str] | None:
        """What is over its limit, as a cause and in words; None where nothing is known to be."""
        now = time.monotonic()
        if now < self._due:
            return None
        free = _free()
        near = free < self._keep_free * _NEAR
        self._due = now + (_LOOK_CLOSELY_S if near else _LOOK_S)
        if near and self._used_when_near is None:
            self._count(free)
            self._used_when_near = self._used
        elif not near:
            self._used_when_near = None
        if free < self._keep_free or now >= self._count_due or self._may_have_filled_its_quota(free):
            self._count(free)
        if self._used > self._quota:
            return "disk_full", f"The sandbox wrote more than its {_gib(self._quota)} of disk."
        if free < self._keep_free and self._used > (self._used_when_near or 0) + _GROWN:
            left = f"less than the {_gib(self._keep_free)} of disk left that are kept for others"
            return "disk_full", f"The sandbox went on writing with {left}."
        return None

    def _may_have_filled_its_quota(self, free: int) -> bool:
        """Whether so much was written by anybody since it was counted."""
        return self._free_when_counted - free > self._quota - self._used

    def _count(self, free: int) -> None:
        began = time.monotonic()
        self._used = written(framing.ROOT) + logged() + held_open(descendants(os.getpid()))
        self._free_when_counted = free
        ended = time.monotonic()
        self._count_due = ended + max(_COUNT_S, (ended - began) * _COST)
        self._due = max(self._due, ended + (ended - began))


def _free() -> int:
    known = os.statvfs(".")
    return known.f_bavail * known.f_frsize


def _gib(size: int) -> str:
    return f"{size / 2**30:.3g} GiB"
