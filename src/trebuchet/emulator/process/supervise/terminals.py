"""Terminals for what runs inside a sandbox: its own ones, so that a program there can tell which it is on."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import termios

_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_MULTIPLEXER = os.makedev(5, 2)
_TIOCSPTLCK = 0x40045431
_TIOCGPTPEER = getattr(termios, "TIOCGPTPEER", 0x5441)


def open_pair(init_pid: int | None) -> tuple[int, int]:
    """Both ends of a new terminal, the controlling one first.

    Args:
        init_pid: The sandbox's first process, or None where it has no file system of its own.
    """
    if init_pid is not None:
        try:
            return _open_inside(init_pid)
        except OSError:  # An image or a job may have anything there; most programs need no name.
            pass
    return os.openpty()


def _open_inside(init_pid: int) -> tuple[int, int]:
    master = _open_multiplexer(init_pid)
    try:
        fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("i", 0))
        return master, fcntl.ioctl(master, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        os.close(master)
        raise


def _open_multiplexer(init_pid: int) -> int:
    """Open the sandbox's `/dev/pts/ptmx`, and nothing else that it may have put there."""
    walked = [os.open(f"/proc/{init_pid}/root", _FOLDER)]
    try:
        for name in ("dev", "pts"):
            walked.append(os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=walked[-1]))
        walked.append(os.open("ptmx", os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=walked[-1]))
        if os.fstat(walked[-1]).st_rdev != _MULTIPLEXER:
            raise OSError(errno.ENOTTY, "no multiplexer of terminals")
        return os.open(f"/proc/self/fd/{walked[-1]}", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    finally:
        for descriptor in walked:
            os.close(descriptor)
