"""The engine's daemon: `python -m trebuchet.emulator --state DIR`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

DEFAULT_IDLE_TIMEOUT_S = 300.0


def main() -> int:
    """Run the daemon until it is told to go or has nothing to do; its exit code."""
    parser = argparse.ArgumentParser(prog="python -m trebuchet.emulator", description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help="the directory that holds all its state")
    parser.add_argument(
        "--port", type=int, default=None, help="the port on 127.0.0.1 (default: the last one, or any)"
    )
    parser.add_argument(
        "--idle-timeout", type=float, default=DEFAULT_IDLE_TIMEOUT_S, help="seconds; 0 to stay"
    )
    parser.add_argument("--ready-fd", type=int, default=None, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.ready_fd is not None:
        _detach()
    from trebuchet.emulator.server import serve  # noqa: PLC0415 - heavy, and useless before the detaching

    return serve(
        arguments.state.absolute(),
        port=arguments.port,
        idle_timeout_s=arguments.idle_timeout,
        ready_fd=arguments.ready_fd,
    )


def _detach() -> None:
    """Become a process of its own, in a session of its own, that nobody has to wait for."""
    if os.fork():
        os._exit(0)
    os.setsid()


if __name__ == "__main__":
    sys.exit(main())
