"""Starting programs with given standard streams, in a session of their own."""

from __future__ import annotations

import fcntl
import os
import signal
import termios

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_RESTORED = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Python ignores the first two, the fork server the third; a program must find them at their defaults."""

CANNOT_EXECUTE = 126


def spawn(argv: list[str], env: Mapping[str, str], stdio: tuple[int, int, int], passed: Sequence[int]) -> int:
    """Start a program and return its pid.

    Args:
        argv: The program, by absolute path, and its arguments.
        env: Its environment.
        stdio: Its standard streams.
        passed: Further descriptors that it gets under the same numbers; they stay inheritable here.

    Raises:
        OSError: It cannot be executed.
    """
    for descriptor in passed:
        os.set_inheritable(descriptor, True)
    if os.isatty(stdio[0]):
        return _spawn_on_terminal(argv, env, stdio[0])
    actions = [(os.POSIX_SPAWN_DUP2, descriptor, number) for number, descriptor in enumerate(stdio)]
    return os.posix_spawn(argv[0], argv, env, file_actions=actions, setsid=True, setsigdef=_RESTORED)


def _spawn_on_terminal(argv: list[str], env: Mapping[str, str], terminal: int) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        take_over((terminal, terminal, terminal))
        os.execve(argv[0], argv, env)
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
