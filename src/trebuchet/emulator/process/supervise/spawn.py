"""Starting programs with given standard streams, in a session of their own."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import struct
import termios

from trebuchet.emulator.process.supervise.restraint import restrain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_RESTORED = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Python ignores the first two, the fork server the third; a program must find them at their defaults."""

CANNOT_EXECUTE = 126
_ERROR_NUMBER = struct.Struct("<i")


def spawn(
    program: str | int,
    argv: list[str],
    env: Mapping[str, str],
    stdio: tuple[int, int, int],
    *,
    passed: Sequence[int] = (),
    open_files: int,
    group: str,
) -> int:
    """Start a program and return its pid.

    It is a fork that restrains itself before it becomes the program: limits set from outside come too late
    for what a quick program has started by then.

    Args:
        program: By absolute path, or a descriptor of it.
        argv: What it is told, its name first.
        env: Its environment.
        stdio: Its standard streams.
        passed: Further descriptors that it gets under the same numbers; they stay inheritable here.
        open_files: How many files it may have open, and each process that it starts.
        group: The file by which it joins its control group; empty for none.

    Raises:
        OSError: It cannot be executed.
    """
    for descriptor in passed:
        os.set_inheritable(descriptor, True)
    failure, failure_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        _become(program, argv, env, stdio=stdio, limits=(open_files, group), failure=failure_end)
    os.close(failure_end)
    reported = os.read(failure, _ERROR_NUMBER.size)  # nothing, once the program runs: the pipe closes then
    os.close(failure)
    if reported:
        os.waitpid(pid, 0)
        number = _ERROR_NUMBER.unpack(reported)[0]
        raise OSError(number, os.strerror(number), argv[0])
    return pid


def _become(
    program: str | int,
    argv: list[str],
    env: Mapping[str, str],
    *,
    stdio: tuple[int, int, int],
    limits: tuple[int, str],
    failure: int,
) -> None:
    try:
        restrain(*limits)
        take_over(stdio)
        os.execve(program, argv, env)
    except OSError as error:
        os.write(failure, _ERROR_NUMBER.pack(error.errno or errno.EINVAL))
    except ValueError:  # a NUL byte among its words
        os.write(failure, _ERROR_NUMBER.pack(errno.EINVAL))
    finally:
        os._exit(CANNOT_EXECUTE)


def take_over(stdio: tuple[int, int, int]) -> None:
    """Make this fork ready to become a program: its session, signals and standard streams."""
    os.setsid()
    for number in _RESTORED:
        signal.signal(number, signal.SIG_DFL)
    for number, descriptor in enumerate(stdio):
        os.dup2(descriptor, number)
    if os.isatty(0):
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
