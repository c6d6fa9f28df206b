"""Running another command inside a sandbox that runs already.

Two forks: the first joins the namespaces and stays, outside the sandbox's own tree of pids, to wait; the
second is born inside and becomes the command. Both are forks of the supervisor, and must not keep what it
holds open.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import struct
import sys
import time
import warnings  # noqa: F401  # pyright: ignore[reportUnusedImport] - `os.execvpe` imports it, too late

from trebuchet.emulator.process.supervise import framing
from trebuchet.emulator.process.supervise.box import code_of
from trebuchet.emulator.process.supervise.restraint import restrain
from trebuchet.emulator.process.supervise.spawn import CANNOT_EXECUTE, take_over

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_NAMESPACES = ("user", "ipc", "net", "pid", "mnt")
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_PID = struct.Struct("<I")
_FIRST_OPEN = 3
_MANY = 1 << 20
_STILL_TURNING_S = 0.001
_TURNS = 2000


def enter(order: dict[str, Any], stdio: tuple[int, int, int], init_pid: int | None) -> tuple[int, int]:
    """Fork a process that enters the sandbox and runs the command there.

    Args:
        order: argv, env, workdir, limits, and the capabilities to keep.
        stdio: The command's standard streams.
        init_pid: The sandbox's first process, or None where there are no namespaces to join.

    Returns:
        The pid to wait for, which ends as the command ends, and a descriptor from which the command's own pid
        can be read (4 bytes), then, if it cannot be executed, why; then its end.

    Raises:
        OSError: There is no room for one more descriptor or process.
    """
    report, report_end = os.pipe()
    try:
        pid = os.fork()
    except OSError:
        os.close(report)
        os.close(report_end)
        raise
    if pid:
        os.close(report_end)
        return pid, report
    status = CANNOT_EXECUTE
    try:
        status = _outer(order, stdio, init_pid, report_end)
    except OSError as error:
        os.write(report_end, _PID.pack(0) + f"The sandbox cannot be entered: {error.strerror}.".encode())
    finally:
        os._exit(status)


def parse_report(report: bytes) -> tuple[int, str]:
    """The command's pid (0 if there never was one), and why it could not be executed (empty if it was)."""
    if len(report) < _PID.size:
        return 0, "its process ended before it began" if report else ""
    return _PID.unpack_from(report)[0], report[_PID.size :].decode(errors="replace")


def _outer(order: dict[str, Any], stdio: tuple[int, int, int], init_pid: int | None, report: int) -> int:
    signal.set_wakeup_fd(-1)  # It is the supervisor's, and closed here.
    _keep_only((*stdio, report))
    restrain(order["open_files"], order["group"])
    if init_pid is not None:
        # What is imported from here on would be the sandbox's own, and run with what this process may do.
        sys.meta_path.clear()
        _join(init_pid)
    go, go_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.read(go, 1)  # so that the pid is reported before anything else
        _inner(order, stdio, report)
    os.write(report, _PID.pack(pid))
    os.write(go_end, b"\n")
    _keep_only(())
    return code_of(os.waitpid(pid, 0)[1])


def _keep_only(descriptors: Sequence[int]) -> None:
    """Close all descriptors but these and the standard ones."""
    start = _FIRST_OPEN
    for descriptor in sorted(set(descriptors)):
        os.closerange(start, descriptor)
        start = descriptor + 1
    os.closerange(start, _MANY)


def _join(init_pid: int) -> None:
    """Enter the namespaces, and stand where the sandbox's own processes do.

    bubblewrap's last step to its new root is two: for a moment the old root still lies on top, and who enters
    then finds himself there. Entering again, a moment later, puts it right.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    root = os.stat(framing.ROOT)
    opened = [
        os.open(f"/proc/{init_pid}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC)
        for name in _NAMESPACES
        if os.readlink(f"/proc/self/ns/{name}") != os.readlink(f"/proc/{init_pid}/ns/{name}")
    ]
    for descriptor in opened:
        _set_namespace(libc, descriptor)
    for _ in range(_TURNS):
        if os.path.samestat(os.stat("/"), root):
            break
        time.sleep(_STILL_TURNING_S)
        _set_namespace(libc, opened[-1])
    else:  # rather not at all than on whatever lies there now
        raise OSError(errno.EAGAIN, "its file system does not come to stand")
    for descriptor in opened:
        os.close(descriptor)


def _set_namespace(libc: ctypes.CDLL, descriptor: int) -> None:
    if libc.setns(descriptor, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "setns")


def _inner(order: dict[str, Any], stdio: tuple[int, int, int], report: int) -> None:
    blamed = "its standard streams"
    try:
        take_over(stdio)
        if order["capabilities"] is not None:
            _drop_capabilities(order["capabilities"])
        os.umask(0o022)
        blamed = order["workdir"]
        os.chdir(order["workdir"])
        blamed = order["argv"][0]
        os.execvpe(order["argv"][0], order["argv"], order["env"])
    except OSError as error:
        os.write(report, f"{blamed}: {error.strerror}".encode())
    finally:
        os._exit(CANNOT_EXECUTE)


def _drop_capabilities(kept: Sequence[int]) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    number = 0
    while number < 64 and (number in kept or libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0) == 0):
        number += 1
