"""Programs of this machine that run where a sandbox can reach them, by `/proc/PID/exe`.

That leads to the file itself, past all that is mounted: whoever owns the file could change it, or who may
execute it, and the root of a sandbox counts as the user who started it. Such a program runs from a copy.
"""

from __future__ import annotations

import fcntl
import os

_MFD_EXEC = 0x10
_SEALS = 0x1 | 0x2 | 0x4 | 0x8
"""No other seal may be set any more, and it neither shrinks nor grows nor changes."""
_ADD_SEALS = 1033
_AT_ONCE = 1 << 30


def open_untouchable(program: str, folder: str = ".") -> int:
    """A descriptor to execute: of a copy in memory, or of the file where only others than we may change it.

    Args:
        program: Its path.
        folder: Where a copy is to lie, without a name, should the kernel execute none in memory.

    Raises:
        OSError: It cannot be read, or not copied.
    """
    source = os.open(program, os.O_RDONLY | os.O_CLOEXEC)
    if os.geteuid() not in {0, os.fstat(source).st_uid} or not hasattr(os, "memfd_create"):
        return source
    try:
        return _copy_in_memory(source, os.path.basename(program))
    except PermissionError:  # vm.memfd_noexec=2
        return _copy_on_disk(source, folder)
    finally:
        os.close(source)


def _copy_in_memory(source: int, name: str) -> int:
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        copy = os.memfd_create(name, flags | _MFD_EXEC)
    except PermissionError:
        raise
    except OSError:  # a kernel before 6.3, to which all are executable
        copy = os.memfd_create(name, flags)
    _fill(copy, source)
    fcntl.fcntl(copy, _ADD_SEALS, _SEALS)
    return copy


def _copy_on_disk(source: int, folder: str) -> int:
    written = os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o500)
    try:
        _fill(written, source)
        return os.open(f"/proc/self/fd/{written}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(written)  # one that is open for writing is not executed


def _fill(copy: int, source: int) -> None:
    while os.sendfile(copy, source, None, _AT_ONCE):
        pass
